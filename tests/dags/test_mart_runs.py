"""The marts, refreshed by a real Airflow."""

from __future__ import annotations

from include.analytics.registry import MARTS, refreshed_before
from tests.integration.feature_shop import day, load, random_facts

RUN = {"start": "2024-03-01T00:00:00Z", "end": "2024-03-02T00:00:00Z"}


def states_of(run) -> dict[str, str]:
    return {each.task_id: each.state for each in run.get_task_instances()}


def test_a_run_refreshes_every_mart_and_again_writes_nothing_unless_told_to_rebuild(dag_bag, platform, warehouse):
    load(warehouse, random_facts(3, start=day("2024-01-01"), days=60))
    for conf in (RUN, RUN, RUN | {"rebuild": True}):
        run = dag_bag.dags["analytics_marts"].test(run_conf=conf)
        assert states_of(run) == {f"refresh_{name}": "success" for name in MARTS} | {"note_lineage": "success"}
    days = warehouse.execute(
        """
        SELECT received > 0, inserted, updated, details->'days' = 'null' FROM ops.receipts
        WHERE step = 'refresh' AND entity = 'sales_daily' ORDER BY receipt_id
        """
    ).fetchall()
    assert [(any_received, is_whole) for any_received, _, _, is_whole in days] == [
        (True, True), (False, False), (True, True),
    ]  # fmt: skip
    assert [(inserted, updated) for _, inserted, updated, _ in days[1:]] == [(0, 0), (0, 0)]


def test_the_day_begins_where_the_shop_is(dag_bag, platform, warehouse, monkeypatch):
    load(warehouse, random_facts(3, start=day("2024-01-01"), days=60))
    monkeypatch.setenv("REGULARS_TIME_ZONE", "Pacific/Auckland")
    dag_bag.dags["analytics_marts"].test(run_conf=RUN)
    days = dict(warehouse.execute("SELECT sold_on, sum(order_count) FROM analytics.sales_daily GROUP BY 1").fetchall())
    expected = dict(
        warehouse.execute(
            """
            SELECT (paid_at AT TIME ZONE 'Pacific/Auckland')::date, count(*) FROM shop.orders
            WHERE paid_at IS NOT NULL GROUP BY 1
            """
        ).fetchall()
    )
    assert {day: count for day, count in days.items() if count} == expected


def test_a_mart_waits_for_those_that_it_is_made_of(parsed_dags):
    tasks = parsed_dags.dags["analytics_marts"].task_dict
    for name, mart in MARTS.items():
        waits_for = tasks[f"refresh_{name}"].upstream_task_ids - {"note_lineage"}
        assert waits_for == {f"refresh_{upstream}" for upstream in refreshed_before(mart)}
    assert "note_lineage" in tasks["refresh_data_inventory"].upstream_task_ids
