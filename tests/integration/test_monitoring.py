"""The dashboard and the alert rules in a real Prometheus, over real metrics of a platform in every kind of trouble."""

from __future__ import annotations

import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import start_http_server

from include.entities.orders import ORDERS
from include.entities.window import Window
from include.serving.metrics import ApiMetrics
from include.warehouse.connection import connect_warehouse
from tests.integration.observed_platform import Platform, landing_in, metrics_server
from tests.integration.prometheus_process import Prometheus, prometheus
from tests.integration.sandbox_process import ROOT, sandbox
from tests.integration.serving_host import Api, api
from tests.integration.statsd_exporter import StatsdExporter
from tests.own_database import own_database
from tests.unit.deployment_files import services
from tests.unit.monitoring_files import ALERTS, MAPPING, Query, alerts, queries

pytestmark = pytest.mark.needs_program("prometheus")

JUNE_1 = datetime(2024, 6, 1, tzinfo=UTC)
FIRST = Window(JUNE_1, JUNE_1 + timedelta(days=3))
SECOND = Window(FIRST.end, FIRST.end + timedelta(days=3))
LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)
NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a real Airflow sends with the deployment's settings: its DAG processor, its scheduler and two tasks."""
    home = tmp_path_factory.mktemp("airflow")
    deployed = services()["scheduler"]["environment"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        environment = {
            "PATH": os.environ["PATH"],
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "tests" / "integration" / "probe_dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "0",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
            "AIRFLOW__SCHEDULER__POOL_METRICS_INTERVAL": "0.1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            **{name: text for name, text in deployed.items() if name.startswith("AIRFLOW__METRICS__")},
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(listener.getsockname()[1]),
        }
        told = subprocess.run(
            [sys.executable, str(ROOT / "tests" / "integration" / "airflow_statsd_probe.py")],
            cwd=home, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert told.returncode == 0, told.stderr[-3000:]
        listener.setblocking(False)
        return list(_received(listener))


def _received(listener: socket.socket) -> Iterator[str]:
    while True:
        try:
            yield from listener.recv(65535).decode().splitlines()
        except BlockingIOError:
            return


@dataclass(frozen=True)
class Watched:
    """A Prometheus that has seen the platform in every kind of trouble."""

    prometheus: Prometheus
    platform: Platform


@pytest.fixture(scope="module")
def watched(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory, packets: list[str]) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("monitoring")
    exporter = StatsdExporter(MAPPING.read_text())
    server, airflow_address = exporter.serve()
    with (
        own_database(postgres_server, "watched") as dsn,
        sandbox(customers=60, seed=3) as box,
        metrics_server(dsn) as metrics,
        metrics_server(re.sub(r":\d+/", ":1/", dsn)) as of_no_warehouse,
        api(dsn, timeout_seconds=0.6) as served,
        scores_of_long_ago() as old_scores,
        prometheus(
            folder / "prometheus",
            rules=ALERTS,
            targets={
                "regulars": [*(re.sub(r"http://|/metrics", "", url) for url in (metrics, of_no_warehouse)), NOBODY],
                "airflow": [airflow_address, NOBODY],
                "api": [served.url.removeprefix("http://"), old_scores, NOBODY],
            },
        ) as watcher,
    ):
        platform = Platform(dsn, box, landing_in(folder / "landing"))
        watcher.wait_for_scrapes()
        _loads_of_long_ago(platform)
        _requests_that_take_too_long(served, platform)
        exporter.receive(packets)
        watcher.wait_for_scrapes()
        _troubles(platform)
        _requests_that_take_too_long(served, platform)
        watcher.wait_for_scrapes()
        _a_load_of_today(platform)
        exporter.receive(packets)
        watcher.wait_for_scrapes(4)
        yield Watched(watcher, platform)
    server.shutdown()


@contextmanager
def scores_of_long_ago() -> Iterator[str]:
    """What an API says that scored on features of three days ago; gives its address."""
    metrics = ApiMetrics()
    metrics.note_score(3 * 86_400)
    server, _ = start_http_server(0, addr="127.0.0.1", registry=metrics.registry)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


def _requests_that_take_too_long(served: Api, platform: Platform) -> None:
    """The API, which has no registry either, waits in vain for a table."""
    with connect_warehouse(platform.dsn) as conn:
        conn.execute("LOCK TABLE ml.bought_together IN ACCESS EXCLUSIVE MODE")
        assert {served.get("/v1/products/1/bought-together").status_code for _ in range(3)} <= {503, 504}


def _loads_of_long_ago(platform: Platform) -> None:
    for entity in ("orders", "refunds", "products", "events"):
        platform.load(entity, FIRST, at=LONG_AGO)
    platform.extract("events", SECOND, at=LONG_AGO + timedelta(days=1))
    platform.ask_a_dead_host(FIRST)


def _troubles(platform: Platform) -> None:
    """Rows that cannot be read, a server that fails, a broken expectation, a field that is gone."""
    window = {"modified_after": "2024-06-04T00:00:00", "modified_before": "2024-06-07T00:00:00"}
    orders = platform.box.pages("/orders", **window, dates_are_gmt="true")
    spoilt = orders[: int(len(orders) * ORDERS.rejection_limit.share)]
    assert spoilt, "the sandbox has too few orders in the window"
    for order in spoilt:
        platform.box.edit("orders", order["id"], modified_at="2024-06-06T23:59:00Z", set={"total": "plenty"})
    platform.box.add_fault(kind="server_error", path="/wp-json/wc/v3/orders", times=1)
    platform.load("orders", SECOND, at=LONG_AGO)
    platform.execute("UPDATE ops.request_totals SET request_count = request_count + 50 WHERE status <> '200'")
    platform.execute(
        "UPDATE ops.quality_results SET is_success = false WHERE entity = 'orders' AND severity = 'critical'"
    )
    platform.execute(
        """
        INSERT INTO ops.schema_changes (source, entity, field, change, kind, detail, example, row_share, batch,
            first_seen_at, last_seen_at)
        VALUES ('shop_api', 'orders', 'currency', 'missing', 'text', 'gone', '', 1, 'b', now(), now())
        """
    )


def _a_load_of_today(platform: Platform) -> None:
    platform.load("products", SECOND)


def panel_id(query: Query) -> str:
    return f"{query.panel}: {query.expression[:40]}"


@pytest.mark.parametrize("query", queries(), ids=panel_id)
def test_the_query_of_every_panel_returns_numbers_with_the_labels_that_its_legend_names(watched: Watched, query: Query):
    expression = query.expression.replace("$__rate_interval", "5m").replace("$__range", "5m").replace("$entity", ".*")
    assert "$" not in expression, "a variable that this test does not know"
    found = watched.prometheus.query(expression)
    numbers = [float(series["value"][1]) for series in found]
    assert any(math.isfinite(number) for number in numbers), (expression, found)
    for label in re.findall(r"\{\{(\w+)\}\}", query.legend):
        assert all(label in series["metric"] for series in found), (label, found)


@pytest.mark.parametrize("name", [rule["alert"] for rule in alerts()])
def test_every_alert_rises_in_its_trouble_and_its_summary_can_be_read(watched: Watched, name: str):
    [rule] = [rule for rule in watched.prometheus.rules() if rule["name"] == name]
    assert (rule["health"], rule.get("lastError", "")) == ("ok", "")
    raised = watched.prometheus.ever(f'ALERTS{{alertname="{name}"}}')
    assert raised, f"{name} has not risen: {rule['query']}"
    for alert in rule["alerts"]:
        summary = alert["annotations"]["summary"]
        assert not re.search(r"error expanding|<no value>|\{\{", summary), summary


def test_no_alert_but_those_of_the_trouble_are_about_what_is_well(watched: Watched):
    risen = watched.prometheus.ever('ALERTS{alertname!~"MetricsMissing|WarehouseDown|AirflowMetricsMissing"}')
    entities = {(series["metric"]["alertname"], series["metric"].get("entity")) for series in risen}
    assert ("RejectionShareHigh", "products") not in entities
    assert ("EntityNotLoaded", "products") not in entities
    assert not [pair for pair in entities if pair[1] in ("customers", "weather_daily", "stock_prices_daily")]


def test_every_mapping_but_the_last_finds_something_that_airflow_sends(packets: list[str]):
    exporter = StatsdExporter(MAPPING.read_text())
    used = {mapped.name for packet in packets if (mapped := exporter.map(packet))}
    assert used >= {
        "airflow_task_starts_total", "airflow_task_finishes_total", "airflow_task_duration_seconds",
        "airflow_dag_run_duration_seconds", "airflow_scheduler_heartbeats_total", "airflow_executor_open_slots",
        "airflow_executor_queued_tasks", "airflow_executor_running_tasks", "airflow_pool_open_slots",
        "airflow_dag_import_errors", "airflow_dags",
    }  # fmt: skip
    matched = {exporter._rule_for(packet.partition(":")[0].partition(",")[0])[0]["match"] for packet in packets}
    assert matched == {rule["match"] for rule in exporter._rules}


def test_airflows_numbers_arrive_with_labels_that_are_bounded_and_in_seconds(packets: list[str]):
    exporter = StatsdExporter(MAPPING.read_text())
    mapped = [each for packet in packets if (each := exporter.map(packet))]
    assert {name for each in mapped for name, _ in each.labels} <= {
        "dag_id", "task_id", "state", "run_type", "pool_name", "executor_class_name", "status",
    }  # fmt: skip
    ended = {(dict(each.labels)["task_id"], dict(each.labels)["state"]) for each in mapped if "finishes" in each.name}
    assert ended == {("ends_well", "success"), ("fails", "failed")}
    runs = {dict(each.labels)["state"] for each in mapped if each.name == "airflow_dag_run_duration_seconds"}
    assert runs == {"success", "failed"}
    seconds = [each.value for each in mapped if each.name == "airflow_task_duration_seconds"]
    assert len(seconds) == 2 and all(0 < each < 60 for each in seconds)
    newest = {each.name: each.value for each in mapped}
    assert (newest["airflow_dags"], newest["airflow_dag_import_errors"]) == (2, 1)
