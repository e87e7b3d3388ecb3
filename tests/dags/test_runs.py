"""Every DAG through the code path of `airflow dags test`, on real HTTP and a real Postgres."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.warehouse.connection import connect_warehouse

TRAINED = ("build_training_set", "train", "evaluate", "approve_champion", "promote")
JUNE_1, JUNE_2, JUNE_5 = (datetime(2024, 6, day, tzinfo=UTC) for day in (1, 2, 5))


def run(dag_bag, dag_id, **settings):
    """As `airflow dags test` does; fails the test with the names of the tasks that failed."""
    dag_run = dag_bag.dags[dag_id].test(**settings)
    states = {instance.task_id: str(instance.state) for instance in dag_run.get_task_instances()}
    assert dag_run.state == "success", {task: state for task, state in states.items() if state != "success"}
    return states


def query(dsn, text):
    with connect_warehouse(dsn) as conn:
        return conn.execute(text).fetchall()


def ranged(start, end):
    return {"start": start.isoformat(), "end": end.isoformat()}


def test_the_shop_of_a_range_is_loaded_and_its_features_built_and_published(dag_bag, platform, shop):
    run(dag_bag, "shop_to_features", run_conf=ranged(JUNE_1, JUNE_5))
    truth = shop.pages(
        "/orders", modified_after="2024-05-31T22:59:59", modified_before="2024-06-05T00:00:00", dates_are_gmt="true"
    )
    assert query(platform, "SELECT count(*) FROM shop.orders") == [(len(truth),)]
    assert truth, "the sandbox has no orders in the window; the test would show nothing"
    closed = query(
        platform, "SELECT step, entity, received, passed, quarantined, oldest_event_at IS NULL FROM ops.receipts"
    )
    assert {(step, entity) for step, entity, *_ in closed} >= {
        ("extract", "orders"), ("validate", "orders"), ("validate", "order_lines"), ("upsert", "orders"),
        ("upsert", "order_lines"), ("upsert", "events"), ("build", "customer_rfm"), ("build", "customer_activity"),
        ("publish", "customer_rfm"),
    }  # fmt: skip
    snapshots = query(platform, "SELECT DISTINCT event_time FROM features.customer_rfm ORDER BY 1")
    assert [at for (at,) in snapshots] == [datetime(2024, 6, day, tzinfo=UTC) for day in (2, 3, 4, 5)]
    online = query(platform, "SELECT count(*), min(event_time), max(event_time) FROM features.customer_rfm_v1_online")
    history = query(platform, "SELECT count(DISTINCT customer_id) FROM features.customer_rfm")
    assert online == [(*history[0], JUNE_5, JUNE_5)]


def test_a_dags_test_of_a_day_covers_the_day_before_it(dag_bag, platform):
    run(dag_bag, "shop_to_features", logical_date=JUNE_2)
    windows = query(platform, "SELECT DISTINCT window_start, window_end FROM ops.receipts")
    assert windows == [(JUNE_1, JUNE_2)]


def test_running_a_window_again_changes_no_byte_of_any_table(dag_bag, platform):
    tables = (
        "shop.customers", "shop.products", "shop.orders", "shop.order_lines", "shop.refunds", "shop.refund_lines",
        "shop.events", "quarantine.rejected_rows", "features.customer_rfm", "features.customer_activity",
        "features.customer_rfm_v1_online", "features.customer_activity_v1_online",
    )  # fmt: skip

    def bytes_of_tables():
        return {table: query(platform, f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables}

    run(dag_bag, "shop_to_features", run_conf=ranged(JUNE_1, JUNE_2))
    before = bytes_of_tables()
    assert before["shop.orders"] and before["features.customer_rfm"]
    run(dag_bag, "shop_to_features", run_conf=ranged(JUNE_1, JUNE_2))
    assert bytes_of_tables() == before


def test_market_signals_are_loaded_with_a_week_of_look_back(dag_bag, platform):
    run(dag_bag, "market_signals", run_conf=ranged(JUNE_1, JUNE_2))
    weather = query(
        platform, "SELECT min(weather_on)::text, max(weather_on)::text, count(*) FROM signals.weather_daily"
    )
    assert weather == [("2024-05-25", "2024-06-01", 8)]
    stocks = query(platform, "SELECT count(*), count(DISTINCT symbol) FROM signals.stock_prices_daily")
    assert stocks == [(5, 1)], "five trading days: Monday 27 to Friday 31 May"


def test_the_churn_model_is_trained_and_judged_beside_its_baselines(dag_bag, platform, shop):
    health = shop.health()
    whole = {"start": health["start"], "end": health["end"]}
    run(dag_bag, "shop_to_features", run_conf=whole)
    states = run(dag_bag, "churn_model", run_conf=whole)
    assert states == dict.fromkeys(TRAINED, "success")
    [(status, reason, baselines)] = query(platform, "SELECT status, status_reason, baselines FROM ml.models")
    assert status in {"champion", "refused"} and "auc" in reason.lower()
    assert {"recency_only", "rfm_score"} <= set(baselines)


def test_with_too_little_data_the_churn_model_is_skipped_and_promotes_nothing(dag_bag, platform):
    states = run(dag_bag, "churn_model", run_conf=ranged(JUNE_1, JUNE_5))
    assert set(states.values()) == {"skipped"}
    assert query(platform, "SELECT count(*) FROM ml.models") == [(0,)]


@pytest.mark.parametrize(
    "conf",
    [
        pytest.param({"start": "2024-06-02T00:00:00Z", "end": "2024-06-02T00:00:00Z"}, id="empty"),
        pytest.param({"start": "2024-06-02T00:00:00Z", "end": "2024-06-01T00:00:00Z"}, id="inverted"),
    ],
)
def test_an_empty_or_inverted_window_fails_at_once_and_loads_nothing(dag_bag, platform, conf):
    dag_run = dag_bag.dags["market_signals"].test(run_conf=conf)
    assert dag_run.state == "failed"
    assert all(instance.try_number <= 1 for instance in dag_run.get_task_instances()), "it was tried again"
    assert query(platform, "SELECT count(*) FROM ops.receipts") == [(0,)]
