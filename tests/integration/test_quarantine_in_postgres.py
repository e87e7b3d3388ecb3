"""Replay of quarantine over a real warehouse."""

from __future__ import annotations

import threading
from dataclasses import replace

import psycopg
import pytest

from include.entities.entity import Expectation
from include.entities.orders import ORDERS
from include.warehouse.connection import connect_warehouse
from tests.replay_contract import (
    FIXED,
    SHOP,
    WINDOW,
    Orders,
    ReplayContract,
    assert_same_tables,
    from_scratch,
    ingest,
    new_landing,
    order,
    outcome,
    replay,
)
from tests.warehouse_stores import StoresInPostgres


class TestReplayInPostgres(ReplayContract):
    @pytest.fixture
    def stores(self, warehouse: psycopg.Connection) -> StoresInPostgres:
        return StoresInPostgres(warehouse)


def test_what_a_critical_expectation_refuses_is_not_let_in_by_a_replay(warehouse):
    stores, landing = StoresInPostgres(warehouse), new_landing()
    ingest(stores, landing, Orders([order(1), order(2, total="500.00")]))
    cheap = Expectation("ExpectColumnValuesToBeBetween", {"column": "total_amount", "max_value": 400})
    (done,) = replay(stores, landing, Orders(entity=replace(FIXED, expectations=(cheap,))))
    assert outcome([done]) == [(0, 0, 2, 0)]
    assert "max_value" in done.problems[0] and set(stores.kept_rows(ORDERS)) == {(1,)}
    dear = replace(cheap, arguments={"column": "total_amount", "min_value": 400}, severity="critical")
    assert outcome(replay(stores, landing, Orders(entity=replace(FIXED, expectations=(dear,))))) == [(2, 0, 0, 0)]


def test_a_resolved_row_names_the_receipt_of_the_upsert_that_loaded_it(warehouse):
    stores, landing = StoresInPostgres(warehouse), new_landing()
    ingest(stores, landing, Orders(*SHOP))
    replay(stores, landing, Orders(entity=FIXED))
    linked = warehouse.execute(
        "SELECT kept.entity, receipt.entity, receipt.step, receipt.details ->> 'replay_of', receipt.written_at,"
        " kept.resolved_at FROM quarantine.rejected_rows AS kept"
        " JOIN ops.receipts AS receipt ON receipt.receipt_id = kept.resolved_by_receipt_id"
    ).fetchall()
    assert len(linked) == 7
    for entity, of, step, replay_of, written_at, resolved_at in linked:
        assert (entity, step, replay_of, written_at) == (of, "upsert", "quarantine", resolved_at)


def test_two_replays_at_once_load_each_row_once(warehouse, warehouse_dsn):
    stores, landing = StoresInPostgres(warehouse), new_landing()
    ingest(stores, landing, Orders(*SHOP))
    warehouse.commit()
    found: list[list[tuple[int, int, int, int]]] = []

    def replay_alone() -> None:
        with connect_warehouse(warehouse_dsn) as conn:
            found.append(outcome(replay(StoresInPostgres(conn), landing, Orders(entity=FIXED))))

    threads = [threading.Thread(target=replay_alone) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [[], [], [(7, 0, 0, 0)]]
    assert_same_tables(stores, from_scratch((Orders(*SHOP, entity=FIXED), WINDOW)))
