"""One window, however its run came about, gives one set of tables: a real scheduler, a real backfill."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.local.airflow_settings import airflow_environment
from include.local.connections import connections
from include.local.places import CHECKOUT, Places
from include.local.postgres import PostgresServer
from include.local.progress import Progress
from include.local.shop import choose_shop
from include.local.stack import Stack, start_stack, stop_airflow_and_sandbox
from include.warehouse.connection import connect_warehouse
from tests.integration.sandbox_process import SandboxProcess

pytestmark = pytest.mark.slow

DAG_ID = "shop_to_features"
DEADLINE_SECONDS = 240.0
TABLES = {
    "shop.customers": "customer_id",
    "shop.products": "product_id",
    "shop.orders": "order_id",
    "shop.order_lines": "order_id, line_id",
    "shop.refunds": "refund_id",
    "shop.refund_lines": "refund_id, line_id",
    "shop.events": "event_id",
}
VIEWS = ("customer_rfm", "customer_activity")
WRITTEN_WHEN = {"first_seen_at", "ingested_at"}
VERSIONING = {"available_time", "ingested_at", "seq"}


class Running:
    """The running stack, with what a test does to it."""

    def __init__(self, stack: Stack, places: Places) -> None:
        self.stack = stack
        self.api = stack.api
        command = next(part.command for part in stack.parts if part.name == "sandbox")
        sandbox_port = int(command[command.index("--port") + 1])
        self.environment = airflow_environment(
            places=places,
            connections=connections(warehouse_dsn=stack.warehouse_dsn, sandbox_port=sandbox_port, keys=stack.keys),
            storage=places.storage / stack.shop.database,
        )
        self.shop = SandboxProcess(
            base_url=f"http://127.0.0.1:{sandbox_port}",
            port=sandbox_port,
            process_id=0,
            consumer_key=stack.keys.consumer_key,
            consumer_secret=stack.keys.consumer_secret,
            event_token=stack.keys.event_token,
            stock_key=stack.keys.stock_key,
        )

    def airflow(self, *words: str) -> str:
        """Run an `airflow` command as a person would."""
        command = [sys.executable, "-m", "airflow", *words]
        ended = subprocess.run(command, env=self.environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        return ended.stdout

    def runs(self) -> list[dict[str, Any]]:
        return self.api.call("GET", f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]

    def wait_for(self, is_wanted: Callable[[dict[str, Any]], bool], *, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many runs of a kind have ended, all well."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            ended = [run for run in self.runs() if is_wanted(run) and run["state"] in ("success", "failed")]
            assert all(run["state"] == "success" for run in ended), [
                self.api.tasks(DAG_ID, r["dag_run_id"]) for r in ended
            ]
            if len(ended) >= count:
                return ended
            assert time.monotonic() < deadline, f"only {len(ended)} of {count} runs ended: {self.runs()}"
            time.sleep(0.5)

    def backfill(self, *, first_day: str, last_day: str, options: tuple[str, ...]) -> None:
        """Create a backfill; Airflow allows one at a time, and marks one as over some while after its last run."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while any(
            each["completed_at"] is None for each in self.api.call("GET", f"backfills?dag_id={DAG_ID}")["backfills"]
        ):
            assert time.monotonic() < deadline, "the backfill before this one is never marked as over"
            time.sleep(0.5)
        dates = ("--from-date", first_day, "--to-date", last_day)
        self.airflow("backfill", "create", "--dag-id", DAG_ID, *dates, *options)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """What the run left behind, but for when it was written; of features the newest version of each row."""
        found = {}
        with connect_warehouse(self.stack.warehouse_dsn) as conn:
            for table, key in TABLES.items():
                rows = conn.execute(f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY {key}").fetchall()
                found[table] = [without(row, WRITTEN_WHEN) for (row,) in rows]
            for view in VIEWS:
                newest = f"""
                    SELECT DISTINCT ON (customer_id, event_time) to_jsonb(t) FROM features.{view} AS t
                    ORDER BY customer_id, event_time, available_time DESC, seq DESC
                """
                found[view] = [without(row, VERSIONING) for (row,) in conn.execute(newest).fetchall()]
                online = f"SELECT to_jsonb(t) FROM features.{view}_v1_online AS t ORDER BY customer_id"
                found[f"{view}_online"] = [without(row, VERSIONING) for (row,) in conn.execute(online).fetchall()]
        return found

    def empty_warehouse(self) -> None:
        """Take everything out; the tables of the views' versions go with their versions, the next build makes them."""
        with connect_warehouse(self.stack.warehouse_dsn) as conn:
            tables = conn.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'features' AND tablename ~ '_v[0-9]+(_online)?$'"
            ).fetchall()
            for (table,) in tables:
                conn.execute(f"DROP TABLE features.{table} CASCADE")
            named = conn.execute(
                """
                SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables
                WHERE schemaname IN ('shop', 'features', 'quarantine', 'ops') AND tablename <> 'migrations'
                """
            ).fetchone()
            assert named is not None
            conn.execute(f"TRUNCATE {named[0]}")


def without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    places = Places(home=tmp_path_factory.mktemp("run-kinds") / "home")
    places.home.mkdir()
    shop = choose_shop(data=None, customers=400)
    try:
        stack = start_stack(places=places, shop=shop, progress=Progress(stream=sys.stderr), is_open=True)
        yield Running(stack, places)
    finally:
        stop_airflow_and_sandbox(places)
        PostgresServer(places.postgres).stop()


@dataclass(frozen=True)
class Scheduled:
    """The run that the scheduler began of itself: its window and what it left behind."""

    window: dict[str, str]
    tables: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def scheduled(running: Running) -> Scheduled:
    """Yesterday, in which twelve old orders were edited, run by the scheduler."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - timedelta(days=1)
    running.shop.set_clock(today.isoformat())
    for number, order in enumerate(running.shop.pages("/orders")[:12]):
        edited_at = start + timedelta(hours=number)
        running.shop.edit("orders", order["id"], modified_at=edited_at.isoformat(), set={"status": "completed"})
    running.api.pause(DAG_ID, is_paused=False)
    [run] = running.wait_for(lambda run: run["run_type"] == "scheduled")
    interval = [run["data_interval_start"], run["data_interval_end"]]
    assert [datetime.fromisoformat(instant) for instant in interval] == [start, today]
    return Scheduled(window={"start": start.isoformat(), "end": today.isoformat()}, tables=running.tables())


def test_scheduled_backfilled_manual_asset_triggered_and_tested_runs_of_a_window_give_the_same_tables(
    running: Running, scheduled: Scheduled
) -> None:
    window, day, outcomes = scheduled.window, scheduled.window["start"][:10], {}

    running.empty_warehouse()
    manual = running.api.trigger(DAG_ID, conf=window)
    running.wait_for(lambda run: run["dag_run_id"] == manual)
    outcomes["manual"] = running.tables()

    running.empty_warehouse()
    assets = running.api.call("GET", "assets?name_pattern=shop_load_requested")["assets"]
    running.api.call("POST", "assets/events", json={"asset_id": assets[0]["id"], "extra": window})
    running.wait_for(lambda run: run["run_type"] == "asset_triggered")
    outcomes["asset-triggered"] = running.tables()

    running.empty_warehouse()
    running.backfill(first_day=day, last_day=day, options=("--reprocess-behavior", "completed"))
    running.wait_for(lambda run: run["run_type"] == "backfill")
    outcomes["backfill"] = running.tables()

    running.empty_warehouse()
    running.airflow("dags", "test", DAG_ID, window["end"][:10])
    outcomes["dags test"] = running.tables()

    expected = scheduled.tables
    assert len(expected["shop.orders"]) == 12
    assert expected["customer_rfm"] and expected["customer_activity_online"]
    assert set(outcomes) == {"manual", "asset-triggered", "backfill", "dags test"}
    for kind, tables in outcomes.items():
        for table, rows in tables.items():
            assert rows == expected[table], f"{table} after a run of kind {kind!r} is not what the scheduled run left"


def test_a_backfill_of_several_days_equals_one_ranged_run(running: Running, scheduled: Scheduled) -> None:
    days = 4
    start = datetime(2024, 6, 3, tzinfo=UTC)
    end = start + timedelta(days=days)
    running.empty_warehouse()
    ranged = running.api.trigger(DAG_ID, conf={"start": start.isoformat(), "end": end.isoformat()})
    running.wait_for(lambda run: run["dag_run_id"] == ranged)
    expected = running.tables()
    assert expected["shop.orders"] and expected["shop.events"] and expected["customer_rfm"]
    assert {row["event_time"][:10] for row in expected["customer_rfm"]} == {f"2024-06-0{day}" for day in (4, 5, 6, 7)}

    running.empty_warehouse()
    last_day = end - timedelta(days=1)
    running.backfill(first_day=f"{start:%Y-%m-%d}", last_day=f"{last_day:%Y-%m-%d}", options=("--max-active-runs", "1"))

    def is_of_backfill(run: dict[str, Any]) -> bool:
        return run["run_type"] == "backfill" and run["logical_date"][:10].startswith("2024-06")

    runs = running.wait_for(is_of_backfill, count=days)
    assert len(runs) == days
    backfilled = running.tables()
    for table, rows in expected.items():
        assert backfilled[table] == rows, f"{table} after a backfill day by day is not what one ranged run left"
