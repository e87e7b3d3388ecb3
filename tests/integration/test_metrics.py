"""`/metrics` over real loads: every number against SQL of its own, and what happens when Postgres is away."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from include.entities.window import Window
from include.ingestion import metrics_readings
from include.ingestion.metrics import WarehouseCollector, registry_of
from include.local.postgres import PostgresServer
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate
from tests.integration.observed_platform import Platform, landing_in, metrics_command, metrics_server, scrape
from tests.integration.sandbox_process import sandbox

JUNE_1 = datetime(2024, 6, 1, tzinfo=UTC)
WINDOW = Window(JUNE_1, JUNE_1 + timedelta(days=3))
LATER = Window(WINDOW.end, WINDOW.end + timedelta(days=3))
NOW = datetime(2024, 6, 8, tzinfo=UTC)
ENTITIES = ("customers", "products", "orders", "refunds", "events", "weather_daily", "stock_prices_daily")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def box() -> Iterator[Any]:
    with sandbox(customers=60, seed=3) as process:
        yield process


@pytest.fixture
def platform(box: Any, warehouse_dsn: str, tmp_path: Path) -> Platform:
    return Platform(warehouse_dsn, box, landing_in(tmp_path / "landing"))


def read(text: str) -> Samples:
    """Every sample of an exposition; a sample that is there twice is an error."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def metrics_of(dsn: str, *, now: datetime = NOW) -> Samples:
    return read(generate_latest(registry_of(WarehouseCollector(dsn, clock=lambda: now))).decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def counters(samples: Samples) -> Samples:
    return {key: each for key, each in samples.items() if key[0].endswith(("_total", "_count", "_bucket", "_sum"))}


def test_every_number_is_what_sql_of_its_own_says(platform: Platform):
    for entity in ENTITIES:
        platform.load(entity, WINDOW)
    platform.load("orders", WINDOW)
    samples = metrics_of(platform.dsn)

    outcomes = ("passed", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined")
    accounts = platform.execute("SELECT DISTINCT step, entity FROM ops.receipts")
    assert len(accounts) == 7 + 2 * (7 + 2), "seven entities, two of them with lines, in three steps"
    for step, entity in accounts:
        labels = {"step": step, "entity": entity}

        def total(column: str, step: str = step, entity: str = entity) -> float:
            query = f"SELECT sum({column})::double precision FROM ops.receipts WHERE step = %s AND entity = %s"
            return platform.execute(query, step, entity)[0][0]

        assert value(samples, "regulars_receipts_total", **labels) == total("1")
        assert value(samples, "regulars_step_seconds_total", **labels) == pytest.approx(total("seconds"))
        assert value(samples, "regulars_rows_received_total", **labels) == total("received")
        assert value(samples, "regulars_rows_deleted_total", **labels) == total("deleted")
        by_outcome = {each: value(samples, "regulars_rows_total", **labels, outcome=each) for each in outcomes}
        assert by_outcome == {each: total(each) for each in outcomes}
        assert sum(by_outcome.values()) == total("received")
    assert value(samples, "regulars_rows_total", step="upsert", entity="orders", outcome="unchanged") > 0
    assert value(samples, "regulars_rows_total", step="upsert", entity="orders", outcome="inserted") > 0


def test_watermark_and_window_are_measured_to_the_clock(platform: Platform):
    platform.load("orders", LATER)
    platform.load("orders", WINDOW)
    samples = metrics_of(platform.dsn)
    [(newest,)] = platform.execute("SELECT max(source_updated_at) FROM shop.orders")
    assert value(samples, "regulars_watermark_age_seconds", entity="orders") == (NOW - newest).total_seconds()
    assert value(samples, "regulars_window_lag_seconds", entity="orders") == (NOW - LATER.end).total_seconds()
    aged = {name: labels for name, labels in samples if name == "regulars_watermark_age_seconds"}
    assert aged == {"regulars_watermark_age_seconds": frozenset({("entity", "orders")})}, "unknown is not 0"


def test_requests_are_counted_timed_and_their_histogram_is_cumulative(platform: Platform):
    platform.box.add_fault(kind="server_error", path="/wp-json/wc/v3/orders", times=1)
    platform.load("orders", WINDOW)
    platform.box.clear_faults()
    samples = metrics_of(platform.dsn)
    rows = platform.execute(
        "SELECT host, source, status, request_count, retry_count, seconds_total, bucket_counts FROM ops.request_totals"
    )
    assert {status for _, _, status, *_ in rows} >= {"200", "500"}, rows
    for host, source, status, requests, retries, seconds, buckets in rows:
        labels = {"host": host, "source": source, "status": status}
        assert value(samples, "regulars_http_requests_total", **labels) == requests
        assert value(samples, "regulars_http_retries_total", **labels) == retries
        name = "regulars_http_request_duration_seconds"
        assert value(samples, f"{name}_sum", **labels) == pytest.approx(seconds)
        assert value(samples, f"{name}_count", **labels) == sum(buckets) == requests
        bounds = ["0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "+Inf"]
        heights = [value(samples, f"{name}_bucket", **labels, le=bound) for bound in bounds]
        assert heights == [sum(buckets[: position + 1]) for position in range(len(bounds))]
    assert sum(retries for *_, retries, _, _ in rows) == 1


def test_a_breaker_is_in_exactly_one_state(platform: Platform):
    platform.ask_a_dead_host(WINDOW)
    samples = metrics_of(platform.dsn)
    states = {
        state: value(samples, "regulars_circuit_state", host="127.0.0.1:1", state=state)
        for state in ("closed", "open", "half_open")
    }
    assert states == {"closed": 0, "open": 1, "half_open": 0}
    [(failures,)] = platform.execute("SELECT failure_count FROM ops.circuits WHERE host = '127.0.0.1:1'")
    assert value(samples, "regulars_circuit_failures", host="127.0.0.1:1") == failures > 0


def test_quarantine_counts_open_rows_by_rule(platform: Platform):
    window = {"modified_after": "2024-06-01T00:00:00", "modified_before": "2024-06-04T00:00:00"}
    spoilt = [order["id"] for order in platform.box.pages("/orders", **window, dates_are_gmt="true")]
    assert spoilt, "the sandbox has no orders in the window; the test would show nothing"
    for key in spoilt:
        platform.box.edit("orders", key, modified_at="2024-06-03T23:59:00Z", set={"total": "plenty"})
    platform.load("orders", WINDOW)
    found = platform.execute("SELECT entity, rule_id, count(*) FROM quarantine.rejected_rows GROUP BY 1, 2")
    assert sum(count for entity, _, count in found if entity == "orders") == len(spoilt)
    samples = metrics_of(platform.dsn)
    for entity, rule, count in found:
        assert value(samples, "regulars_quarantine_rows", entity=entity, rule=rule) == count
    platform.execute("UPDATE quarantine.rejected_rows SET resolved_at = now(), resolution = 'loaded'")
    assert not [name for name, _ in metrics_of(platform.dsn) if name == "regulars_quarantine_rows"]


def test_an_expectation_holds_or_not_by_its_newest_check(platform: Platform):
    def check(success: bool, at: datetime, expectation: str = "is_fine", **details: str) -> None:
        platform.execute(
            """
            INSERT INTO ops.quality_results (entity, window_start, window_end, batch, expectation, severity, is_success,
                row_count, failed_count, details, checked_at)
            VALUES ('orders', %s, %s, 'b', %s, 'critical', %s, 1, 0, %s, %s)
            """,
            WINDOW.start, WINDOW.end, expectation, success, psycopg.types.json.Jsonb(details), at,
        )  # fmt: skip

    check(True, JUNE_1, column="total")
    check(False, JUNE_1 + timedelta(hours=1), column="total")
    check(False, JUNE_1, expectation="is_retired")
    samples = metrics_of(platform.dsn)
    labels = {"entity": "orders", "expectation": "is_fine", "column": "total", "severity": "critical"}
    assert value(samples, "regulars_expectation_checks_total", **labels) == 2
    assert value(samples, "regulars_expectation_failures_total", **labels) == 1
    assert value(samples, "regulars_expectation_holds", **labels) == 0
    holding = [labels for name, labels in samples if name == "regulars_expectation_holds"]
    assert holding == [frozenset(labels.items())], "what the newest batch was not checked for neither holds nor fails"


def test_changes_of_the_sources_fields_are_counted(platform: Platform):
    before = metrics_of(platform.dsn)
    assert value(before, "regulars_schema_changes_total", entity="orders", change="missing") == 0
    platform.execute(
        """
        INSERT INTO ops.schema_changes (source, entity, field, change, kind, detail, example, row_share, batch,
            first_seen_at, last_seen_at)
        SELECT 'shop_api', 'orders', name, 'missing', 'text', 'gone', '', 1, 'b', now(), now()
        FROM unnest(ARRAY['total', 'currency']) AS name
        """
    )
    assert value(metrics_of(platform.dsn), "regulars_schema_changes_total", entity="orders", change="missing") == 2


def test_no_counter_goes_down_or_away_while_loads_go_on(platform: Platform):
    with metrics_server(platform.dsn) as url:
        before = counters(read(scrape(url)))
        assert value(before, "regulars_receipts_total", step="upsert", entity="orders") == 0
        for window in (WINDOW, LATER, WINDOW):
            for entity in ("orders", "events"):
                platform.load(entity, window)
                after = counters(read(scrape(url)))
                fallen = {key: (each, after.get(key)) for key, each in before.items() if after.get(key, -1) < each}
                assert fallen == {}
                assert after != before
                before = after


def test_no_label_holds_anything_out_of_the_data(platform: Platform):
    for entity in ENTITIES:
        platform.load(entity, WINDOW)
    samples = metrics_of(platform.dsn)
    allowed = {
        "step", "entity", "outcome", "host", "source", "status", "le", "state", "rule", "expectation", "column",
        "severity", "change",
    }  # fmt: skip
    labels = {pair for _, pairs in samples for pair in pairs}
    assert {name for name, _ in labels} <= allowed
    assert all(len(each) <= 60 for _, each in labels)
    people = platform.execute("SELECT email, first_name, last_name FROM shop.customers")
    personal = {each for row in people for each in row}
    assert personal - {None, ""}, "no customer was loaded; the test would show nothing"
    assert not personal & {each for _, each in labels}


@pytest.mark.needs_program("promtool", package="prometheus")
def test_promtool_finds_nothing_to_say_about_names_and_help_texts(platform: Platform):
    platform.load("orders", WINDOW)
    platform.ask_a_dead_host(WINDOW)
    told = subprocess.run(
        ["promtool", "check", "metrics"],
        input=generate_latest(registry_of(WarehouseCollector(platform.dsn))).decode(),
        capture_output=True, text=True,
    )  # fmt: skip
    assert (told.returncode, told.stdout + told.stderr) == (0, "")


def test_scrapes_at_once_all_get_the_whole_answer(platform: Platform):
    platform.load("orders", WINDOW)
    with metrics_server(platform.dsn) as url, ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: scrape(url), range(16)))
    assert all(counters(read(text)) == counters(read(texts[0])) for text in texts)


def test_with_many_receipts_a_scrape_still_reads_each_table_once(platform: Platform):
    platform.load("orders", WINDOW)
    platform.execute(
        """
        INSERT INTO ops.receipts (
            step, entity, window_start, window_end, received, inserted, details, seconds, written_at
        )
        SELECT 'upsert', 'orders', %s, %s, n, n, '{"newest_version_at": "2024-06-01T00:00:00+00:00"}', 1, now()
        FROM generate_series(1, 100000) AS n
        """,
        WINDOW.start, WINDOW.end,
    )  # fmt: skip
    platform.execute("ANALYZE ops.receipts")
    samples = metrics_of(platform.dsn)
    inserted = value(samples, "regulars_rows_total", step="upsert", entity="orders", outcome="inserted")
    assert inserted == platform.execute("SELECT sum(inserted)::bigint FROM ops.receipts WHERE entity = 'orders'")[0][0]
    for name in ("STEPS", "REQUESTS", "CIRCUITS", "OPEN_ROWS", "SCHEMA_CHANGES"):
        [(plan,)] = platform.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + getattr(metrics_readings, name))
        scans = [node for node in nodes(plan[0]["Plan"]) if "Relation Name" in node]
        assert len(scans) == 1 and "Nested Loop" not in str(plan), (name, plan)
    [(plan,)] = platform.execute("EXPLAIN (FORMAT JSON) " + metrics_readings.STEPS)
    assert not any(node["Node Type"] == "Sort" and node["Plan Rows"] > 1000 for node in nodes(plan[0]["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def test_while_postgres_is_down_the_answer_is_up_0_and_afterwards_everything_again(tmp_path: Path):
    server = PostgresServer(tmp_path / "data")
    server.start()
    try:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            admin.execute("CREATE DATABASE warehouse")
        with connect_warehouse(server.dsn("warehouse")) as conn:
            migrate(conn)
        with metrics_server(server.dsn("warehouse")) as url:
            well = read(scrape(url))
            assert value(well, "regulars_up") == 1
            server.stop()
            down = read(scrape(url))
            assert {name for name, _ in down} == {"regulars_up", "regulars_scrape_seconds"}
            assert value(down, "regulars_up") == 0
            told = subprocess.run(**metrics_command(server.dsn("warehouse"), "--once"), capture_output=True)
            assert told.returncode == 1
            assert "regulars_up 0.0" in told.stdout
            assert "metrics up=0 reason=" in told.stderr
            server.start()
            again = read(scrape(url))
            assert again.keys() == well.keys()
    finally:
        server.stop()


def test_a_warehouse_that_lacks_the_migrations_is_not_up(postgres_server: Any):
    samples = metrics_of(postgres_server.dsn("postgres"))
    assert value(samples, "regulars_up") == 0


def test_once_prints_the_metrics_and_ends(warehouse_dsn: str):
    told = subprocess.run(**metrics_command(warehouse_dsn, "--once"), capture_output=True)
    assert told.returncode == 0, told.stderr
    assert value(read(told.stdout), "regulars_up") == 1


def test_a_wrong_setting_or_a_taken_port_ends_with_2_and_shows_no_password(warehouse_dsn: str):
    command = metrics_command(warehouse_dsn, "--once")
    command["env"]["AIRFLOW_CONN_WAREHOUSE"] = "postgres://u:hush@h/d"
    told = subprocess.run(**command, capture_output=True)
    assert told.returncode == 2
    assert "AIRFLOW_CONN_WAREHOUSE is no JSON object" in told.stderr and "hush" not in told.stderr
    with metrics_server(warehouse_dsn) as url:
        port = re.search(r":(\d+)/", url)
        assert port is not None
        told = subprocess.run(**metrics_command(warehouse_dsn, f"--port={port[1]}"), capture_output=True, timeout=60)
    assert told.returncode == 2
    assert "Give another --port" in told.stderr


def test_the_newest_monitoring_of_each_subject_is_shown(warehouse, warehouse_dsn):
    for day, value, is_alert in ((1, 0.4, True), (2, 0.05, False)):
        warehouse.execute(
            "INSERT INTO ml.monitoring VALUES ('m', %s, 'frequency', 'psi', %s, NULL, 0.25, %s, 900, now())",
            (f"2024-01-0{day}Z", value, is_alert),
        )
    warehouse.commit()
    registry = registry_of(WarehouseCollector(warehouse_dsn))
    labels = {"subject": "frequency", "metric": "psi"}
    assert registry.get_sample_value("regulars_model_measurement", labels) == 0.05
    assert registry.get_sample_value("regulars_model_alert", labels) == 0
