"""A replay of quarantine that is killed at any moment, and run again, ends as one that was left alone."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.compute as pc
import pytest

from include.entities.entity import RejectionLimit, Rule
from include.entities.orders import ORDER_LINES, ORDERS
from include.ingestion.landing import Landing
from include.warehouse.connection import connect_warehouse
from tests.integration.ingestion_shop import contents, days, ingest, source_of
from tests.integration.sandbox_process import ROOT, sandbox
from tests.own_database import connection, own_database

pytestmark = pytest.mark.slow

WINDOWS = days(datetime(2025, 6, 1, tzinfo=UTC), 12)
KILLS = 4
ANY_SHARE = RejectionLimit(at_least_rows=10**9)
FEW = Rule("few", lambda t: pc.less(t["quantity"], 2), "more than one")
CHEAP = Rule("cheap", lambda t: pc.less(t["total_amount"], 40), "too dear")
WRONG = replace(
    ORDERS,
    rules=(*ORDERS.rules, CHEAP),
    expectations=(),
    rejection_limit=ANY_SHARE,
    child=replace(ORDER_LINES, rules=(*ORDER_LINES.rules, FEW), expectations=(), rejection_limit=ANY_SHARE),
)


@pytest.mark.parametrize("seed", [107_482])
def test_killing_a_replay_at_any_moment_and_running_it_again_gives_the_same_tables(
    postgres_server, warehouse, warehouse_dsn, tmp_path, seed
):
    print(f"seed={seed}")
    chance, landing = random.Random(seed), Landing(tmp_path / "landing")
    with sandbox(customers=150, seed=7) as box:
        for window in WINDOWS:
            source = source_of(box, "orders")
            source.entity = WRONG
            ingest(warehouse, source, window, landing=landing)
        rejected = contents(warehouse, "orders")
        truth = _truth(postgres_server, box, tmp_path)
    assert rejected != truth, "nothing was rejected; the test would show nothing"
    environment = {
        **os.environ, "AIRFLOW_CONN_WAREHOUSE": connection(warehouse_dsn), "REGULARS_LANDING": str(landing.root),
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "include.ingestion", "quarantine", "replay"]
    ends = [_killed_after(chance.randint(1, 2), chance.uniform(0, 0.03), command, environment) for _ in range(KILLS)]
    assert ends.count(-signal.SIGKILL) >= 2, "the replay had ended before it could be killed"
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(warehouse, "orders") == truth
    open_rows = warehouse.execute("SELECT count(*) FROM quarantine.rejected_rows WHERE resolved_at IS NULL").fetchone()
    assert open_rows == (0,)
    twice = warehouse.execute(
        "SELECT sum(inserted), count(*) FROM ops.receipts WHERE entity = 'orders' AND step = 'upsert'"
    ).fetchone()
    assert twice is not None and twice[0] == len(truth["shop.orders"]), "a receipt counts what was inserted, once"


def _killed_after(windows: int, seconds: float, command: list[str], environment: dict[str, str]) -> int:
    """Kill a replay some moments after it has told of so many windows; its exit code, 0 if it was through by then."""
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as replay:
        assert replay.stdout is not None
        told = (line for line in replay.stdout if line.startswith("quarantine_replay entity=orders"))
        if len(list(itertools.islice(told, windows))) == windows:
            time.sleep(seconds)
            replay.send_signal(signal.SIGKILL)
    return replay.returncode


def _truth(postgres_server, box, tmp_path):
    with own_database(postgres_server, "truth_of_replay") as dsn, connect_warehouse(dsn) as conn:
        for window in WINDOWS:
            ingest(conn, source_of(box, "orders"), window, landing=Landing(tmp_path / "truth"))
        return contents(conn, "orders")
