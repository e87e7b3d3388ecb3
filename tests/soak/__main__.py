"""Many randomised runs: `python -m tests.soak`, with RUNS and SEED from the environment.

The exit code is 1 if one failed us, or if a thousand or more left a kind of fault untried. Run n of a soak has the seed
SEED + n, so a run that failed is repeated alone by its own seed.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from include.local.postgres import PostgresServer
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate
from tests.integration.sandbox_process import sandbox
from tests.soak.harness import Harness, Outcome, Violated
from tests.soak.stage import CUSTOMERS, SHOP_SEED, small_pages
from tests.soak.summary import never_struck, summary
from tests.soak.world import World

_SAY_EVERY = 50
ENOUGH_RUNS = 1_000
"""From so many runs on every kind of fault must have struck, alone and among others, or nothing is shown of it."""


def main() -> int:
    runs = int(os.environ.get("RUNS") or 1_000)
    first = int(os.environ.get("SEED") or time.time_ns() // 1_000_000 % 1_000_000_000)
    print(f"soak: {runs} runs from SEED={first}", flush=True)
    _log(level=logging.INFO if runs == 1 else logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        server = PostgresServer(Path(folder) / "postgres")
        server.start()
        try:
            with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
                admin.execute("CREATE DATABASE soak")
            with connect_warehouse(server.dsn("soak")) as conn:
                migrate(conn)
                with sandbox(customers=CUSTOMERS, seed=SHOP_SEED) as box, small_pages():
                    world = World(box, customers=CUSTOMERS, seed=SHOP_SEED)
                    return _soak(Harness(box, world, conn, Path(folder) / "landing"), runs=runs, first=first)
        finally:
            server.stop()


def _log(*, level: int) -> None:
    """Say what the platform says, and not what its libraries do."""
    logging.basicConfig(level=level, format="%(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: record.name.startswith("include"))


def _soak(harness: Harness, *, runs: int, first: int) -> int:
    outcomes: list[Outcome] = []
    broken: list[int] = []
    started = time.monotonic()
    for number in range(runs):
        try:
            outcomes.append(harness.run(first + number))
        except Violated as error:
            broken.append(first + number)
            print(f"\nBROKEN: {error}\n", flush=True)
        if (number + 1) % _SAY_EVERY == 0:
            print(f"  {number + 1} runs, {len(broken)} broken, {time.monotonic() - started:.0f} s", flush=True)
    print("\n" + summary(outcomes, seconds=time.monotonic() - started))
    if broken:
        print(f"\n{len(broken)} of {runs} runs broke a promise, by SEED: {broken}")
    untried = never_struck(outcomes) if runs >= ENOUGH_RUNS else []
    if untried:
        print(f"\nIn {runs} runs these never struck, so nothing is shown of them: {', '.join(untried)}")
    return 1 if broken or untried else 0


if __name__ == "__main__":
    sys.exit(main())
