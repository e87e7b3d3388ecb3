"""Postgres stopped at once amid a step, and started again: what was reported stays, the rest is done anew."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from include.entities.window import Window
from include.local.postgres import PostgresServer
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate
from tests.integration.ingestion_shop import TABLES, contents
from tests.integration.sandbox_process import sandbox
from tests.soak.attempts import Attempt, Kill, Started, stop_at_once

SEED = int(os.environ.get("REGULARS_SEED", "1"))
STOPS = int(os.environ.get("REGULARS_KILLS", "5"))
WINDOW = Window(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
NOW = datetime(2025, 5, 1, tzinfo=UTC)
GONE = ("OperationalError", "AdminShutdown", "WarehouseUnreachable")


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[PostgresServer]:
    """A server of its own, since it is stopped."""
    own = PostgresServer(tmp_path_factory.mktemp("stopped") / "data")
    own.start()
    with connect_warehouse(own.dsn("postgres")) as conn:
        migrate(conn)
    yield own
    own.stop()


@pytest.fixture(scope="module")
def extracted(server, tmp_path_factory) -> Iterator[Attempt]:
    """Orders of a month, landed."""
    with sandbox(customers=80, seed=23) as box:
        folder = tmp_path_factory.mktemp("landing") / "landing"
        attempt = Attempt(box, server.dsn("postgres"), folder, "orders", WINDOW, NOW)
        yield replace(attempt, batch=replace(attempt, step="extract").run())


@pytest.fixture(scope="module")
def validated(extracted) -> Attempt:
    """The same orders, validated."""
    replace(extracted, step="validate").run()
    return replace(extracted, step="load")


def tables(server: PostgresServer) -> dict[str, Any]:
    with connect_warehouse(server.dsn("postgres")) as conn:
        return contents(conn, "orders")


def empty(server: PostgresServer) -> None:
    with connect_warehouse(server.dsn("postgres")) as conn:
        conn.execute(f"TRUNCATE {', '.join(TABLES['orders'])}, ops.receipts RESTART IDENTITY")


def receipts(server: PostgresServer, step: str) -> list[Any]:
    with connect_warehouse(server.dsn("postgres")) as conn:
        rows = conn.execute("SELECT entity, received, inserted FROM ops.receipts WHERE step = %s ORDER BY 1", (step,))
        return rows.fetchall()


@pytest.fixture(scope="module")
def whole(server, validated) -> dict[str, Any]:
    """The tables of a load that nobody disturbed."""
    empty(server)
    validated.run()
    found = tables(server)
    assert all(found.values())
    return found


@pytest.fixture(scope="module")
def lines(server, validated, whole) -> list[Any]:
    """The lines that a load runs in the warehouse, and how often."""
    empty(server)
    ended = Started(validated, is_counting=True).wait()
    assert ended.error is None, ended.error
    return sorted((line, count) for line, count in ended.hits.items() if "/warehouse/" in line[0])


@pytest.mark.parametrize("moment", range(STOPS))
def test_a_load_whose_server_stops_in_the_midst_of_it_is_whole_after_it_is_run_again(
    server, validated, whole, lines, moment
):
    dice = random.Random(f"{SEED} {moment}")
    empty(server)
    line, count = dice.choice(lines)
    kill = Kill(line, dice.randint(1, count), postmaster=server.pid)
    print(f"stopped before {kill} (REGULARS_SEED={SEED})")
    ended = Started(validated, kill=kill).wait()
    assert not server.is_running, "the moment was never reached"
    if ended.error is not None:
        assert ended.error.partition(":")[0] in GONE, ended.error
    server.start()
    found, reported = tables(server), receipts(server, "upsert")
    if ended.error is None:
        assert found == whole
    assert (found, bool(reported)) in (({table: [] for table in whole}, False), (whole, True)), "half a load"
    validated.run()
    assert tables(server) == whole
    assert sum(inserted for entity, _, inserted in receipts(server, "upsert") if entity == "orders") == len(
        whole["shop.orders"]
    )


def test_what_a_step_reported_is_there_after_the_server_stopped_at_once(server, extracted, validated, whole):
    """Each step has told Airflow that it is done; nobody will run it again."""
    for _ in range(3):
        empty(server)
        for step in ("validate", "load"):
            replace(extracted, step=step).run()
            stop_at_once(server.pid)
            server.start()
        assert tables(server) == whole
        assert len(receipts(server, "validate")) == len(receipts(server, "upsert")) == 2


def test_a_server_that_is_not_there_is_told_before_anything_is_asked_for(server, extracted):
    stop_at_once(server.pid)
    try:
        for step in ("extract", "validate", "load"):
            ended = Started(replace(extracted, step=step)).wait()
            assert ended.error is not None and ended.error.startswith("WarehouseUnreachable: "), ended.error
    finally:
        server.start()
