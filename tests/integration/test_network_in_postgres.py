"""Circuits and request totals in Postgres, also while Postgres is away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import psycopg
import pytest

from include.ingestion import network_store
from include.ingestion.landing import BatchWriter, Landing
from include.ingestion.network_store import postgres_network
from include.sources import circuit as steps
from include.sources.circuit import CircuitStore
from include.sources.factory import source_for
from include.sources.settings import SourceSettings
from tests.circuit_contract import BEGINNING, HOST, LEASE, CircuitContract, clock  # noqa: F401  # the fixture
from tests.hostile_values import numbered
from tests.integration.canned_api import canned_api
from tests.integration.ingestion_shop import service
from tests.unit.source_pages import WINDOW

KEY = ("shop.example", "shop_api", "200")
NOWHERE = "host=127.0.0.1 port=1 dbname=nothing user=nobody"
failing = partial(steps.failed, now=BEGINNING, reason="answered 500", failures=2, rest=timedelta(seconds=40))


class TestCircuitInPostgres(CircuitContract):
    @pytest.fixture
    def new_store(self, warehouse_dsn: str) -> Callable[[], CircuitStore]:
        return lambda: postgres_network(warehouse_dsn).circuits


def totals(conn: psycopg.Connection) -> list[tuple]:
    rows = conn.execute("TABLE ops.request_totals").fetchall()
    conn.rollback()
    return sorted(rows)


def test_the_circuit_in_the_table_reads_as_the_monitoring_expects(warehouse, warehouse_dsn):
    circuits = postgres_network(warehouse_dsn).circuits
    for _ in range(2):
        asyncio.run(circuits.change(HOST, failing, now=BEGINNING))
    found = warehouse.execute(
        "SELECT host, state, failure_count, opened_at, probe_at, reason, changed_at FROM ops.circuits"
    )
    until = BEGINNING + timedelta(seconds=40)
    assert found.fetchall() == [(HOST, "open", 2, BEGINNING, until, "answered 500", BEGINNING)]


def test_totals_of_all_processes_add_up_bucket_by_bucket(warehouse, warehouse_dsn):
    first, second = (postgres_network(warehouse_dsn).requests for _ in range(2))
    for seconds in (0.01, 0.05, 0.0500001, 60.0, 61.0):
        first.record(KEY, seconds=seconds)
    first.record_retry(KEY)
    second.record(KEY, seconds=0.01)
    second.record(("shop.example", "shop_api", "timeout"), seconds=10.0)
    for requests in (first, second, first, second):  # flushed again with nothing new: nothing is added
        asyncio.run(requests.flush())
    second.record_retry(("shop.example", "shop_api", "timeout"))
    asyncio.run(second.flush())
    assert totals(warehouse) == [
        (*KEY, 6, 1, pytest.approx(121.1200001), [3, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
        ("shop.example", "shop_api", "timeout", 1, 1, 10.0, [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
    ]


def test_a_connection_that_was_cut_is_made_again_and_nothing_is_lost(warehouse, warehouse_dsn):
    network = postgres_network(warehouse_dsn)
    for number in range(3):
        network.requests.record(KEY, seconds=0.01)
        asyncio.run(network.requests.flush())
        _, after = asyncio.run(network.circuits.change(HOST, failing, now=BEGINNING))
        assert after.failure_count == min(number + 1, 2)
        warehouse.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'regulars network'"
            " AND datname = current_database()"
        )
        warehouse.commit()
    assert totals(warehouse)[0][3] == 3


def test_while_postgres_is_away_the_process_goes_by_what_it_knows_and_says_so_once(caplog):
    network = postgres_network(NOWHERE)
    with caplog.at_level(logging.INFO, logger="include.ingestion"):
        for _ in range(2):
            asyncio.run(network.circuits.change(HOST, failing, now=BEGINNING))
            network.requests.record(KEY, seconds=0.01)
            asyncio.run(network.requests.flush())
    assert asyncio.run(network.circuits.read(HOST)).state == "open"
    probing = partial(steps.probing, now=BEGINNING + timedelta(seconds=40), lease=LEASE)
    assert asyncio.run(network.circuits.change(HOST, probing, now=BEGINNING))[1].state == "half_open"
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("network_store state=away because='connection failed: ") and line.endswith("using=memory")


def test_what_was_counted_while_postgres_was_away_is_written_when_it_is_back(
    warehouse, warehouse_dsn, monkeypatch, caplog
):
    monkeypatch.setattr(network_store, "REST_SECONDS", 0.0)
    network = postgres_network(NOWHERE)
    for seconds in (0.01, 0.3):
        network.requests.record(KEY, seconds=seconds)
        asyncio.run(network.requests.flush())
    monkeypatch.setattr(network.requests._warehouse, "_dsn", warehouse_dsn)
    network.requests.record(KEY, seconds=7.0)
    with caplog.at_level(logging.INFO, logger="include.ingestion"):
        asyncio.run(network.requests.flush())
    assert totals(warehouse) == [(*KEY, 3, 0, pytest.approx(7.31), [1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])]
    assert caplog.messages[-1] == "network_store state=back"


def test_what_another_process_found_out_before_postgres_went_away_still_counts(warehouse_dsn, monkeypatch):
    network = postgres_network(warehouse_dsn)
    for _ in range(2):
        asyncio.run(postgres_network(warehouse_dsn).circuits.change(HOST, failing, now=BEGINNING))
    assert asyncio.run(network.circuits.read(HOST)).state == "open"
    network_store._close(network.circuits._warehouse._held)
    monkeypatch.setattr(network.circuits._warehouse, "_dsn", NOWHERE)
    assert asyncio.run(network.circuits.read(HOST)).state == "open"


def test_all_requests_of_a_batch_are_counted_before_the_batch_can_be_seen(
    warehouse, warehouse_dsn, tmp_path, monkeypatch
):
    """So a process that is killed takes with it only requests whose answers are in no batch."""
    counted: list[list[tuple]] = []
    close = BatchWriter.close

    def close_and_tell(batch: BatchWriter) -> str:
        counted.append(totals(warehouse))
        return close(batch)

    monkeypatch.setattr(BatchWriter, "close", close_and_tell)
    monkeypatch.setattr("include.sources.http.REFRESH_SECONDS", 3600)
    with canned_api() as api:
        api.rows = [json.dumps(numbered("customers", number)).encode() for number in range(250)]
        settings = SourceSettings(name="shop_api", base_url=api.base_url, login="k", password="s")
        network = postgres_network(warehouse_dsn)
        source = source_for("customers", settings_of=lambda name: settings, network=network)
        asyncio.run(service(warehouse, source, Landing(tmp_path)).extract(WINDOW))
        asked = len(api.asked)
    assert [sum(row[3] for row in rows) for rows in counted] == [asked]
    assert asked > 1
