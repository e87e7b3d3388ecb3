"""The DAGs about landing through the code path of `airflow dags test`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.ingestion.landing import Landing
from include.warehouse.connection import connect_warehouse
from tests.dags.test_runs import JUNE_1, JUNE_2, query, ranged, run
from tests.erased_customer import OTTILIE, WINDOW, land, traces_in_landing


def landing_of_the_platform() -> Landing:
    return Landing(Path(os.environ["REGULARS_STORAGE"]) / "landing")


def test_a_replay_brings_an_emptied_table_back_and_leaves_receipts(dag_bag, platform):
    run(dag_bag, "market_signals", run_conf=ranged(JUNE_1, JUNE_2))
    rows = (
        "SELECT location, weather_on, temperature_max_celsius, source_updated_at FROM signals.weather_daily ORDER BY 2"
    )
    before = query(platform, rows)
    assert before
    with connect_warehouse(platform) as conn:
        conn.execute("TRUNCATE signals.weather_daily")
    states = run(dag_bag, "landing_replay", run_conf={"entity": "weather_daily", **ranged(JUNE_1, JUNE_2)})
    assert states == {"replay_landing": "success"}
    assert query(platform, rows) == before
    receipts = "SELECT step, count(*) FROM ops.receipts WHERE entity = 'weather_daily' GROUP BY 1 ORDER BY 1"
    assert query(platform, receipts) == [("extract", 1), ("upsert", 2), ("validate", 2)]


def test_a_replay_of_what_was_never_landed_fails_at_once(dag_bag, platform):
    dag_run = dag_bag.dags["landing_replay"].test(run_conf={"entity": "orders", **ranged(JUNE_1, JUNE_2)})
    assert dag_run.state == "failed"
    assert all(instance.try_number <= 1 for instance in dag_run.get_task_instances()), "it was tried again"


def test_retention_removes_what_is_older_than_the_setting_says(dag_bag, platform, monkeypatch):
    landing, now = landing_of_the_platform(), datetime.now(UTC)
    monkeypatch.setenv("REGULARS_LANDING_DAYS", "5")
    _, kept = (
        landing.open_batch(source="shop_api", entity="orders", window=WINDOW, now=now - timedelta(days=days)).close()
        for days in (6, 4)
    )
    run(dag_bag, "landing_retention", logical_date=JUNE_2)
    assert list(landing.batches()) == [kept]


def test_an_erasure_takes_the_customer_of_the_trigger_form_out_of_landing(dag_bag, platform):
    landing = landing_of_the_platform()
    land(landing)
    assert traces_in_landing(landing)
    run(dag_bag, "customer_erasure", run_conf={"customer_id": OTTILIE})
    assert traces_in_landing(landing) == []
