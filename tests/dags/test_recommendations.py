"""Recommendations as a real Airflow makes them: from the load of orders to the published tables."""

from __future__ import annotations

from datetime import datetime

from tests.dags.test_runs import query, run


def newest_event(asset: str) -> dict[str, str]:
    """What the newest event of an asset carries."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        events = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        found = events.filter(AssetModel.name == asset).order_by(AssetEvent.id.desc()).first()
        return {} if found is None else dict(found.extra)


TASKS = ("build_candidates", "evaluate_candidates", "publish_recommendations")


def test_recommendations_of_a_loaded_shop_are_chosen_judged_and_published(dag_bag, platform, shop):
    health = shop.health()
    whole = {name: datetime.fromisoformat(health[name]).isoformat() for name in ("start", "end")}
    run(dag_bag, "shop_to_features", run_conf=whole)
    assert newest_event("orders") == whole
    assert run(dag_bag, "product_recommendations", run_conf=whole) == dict.fromkeys(TASKS, "success")
    [(status, method, reason, judged)] = query(
        platform, "SELECT status, method, method_reason, test_at IS NOT NULL FROM ml.recommendation_runs"
    )
    assert status == "published" and judged
    assert method in {"blend", "popularity"} and "against" in reason
    customers = query(platform, "SELECT count(DISTINCT customer_id) FROM ml.recommendations")
    buyers = query(
        platform,
        "SELECT count(DISTINCT customer_id) FROM shop.orders INNER JOIN shop.order_lines USING (order_id) "
        "WHERE paid_at IS NOT NULL AND kind = 'product' AND product_id IS NOT NULL",
    )
    assert customers == buyers != [(0,)]
    before = query(platform, "SELECT ctid::text, xmin::text, r::text FROM ml.recommendations AS r ORDER BY r::text")
    run(dag_bag, "product_recommendations", run_conf=whole)
    after = query(platform, "SELECT ctid::text, xmin::text, r::text FROM ml.recommendations AS r ORDER BY r::text")
    assert after == before


def test_a_shop_without_orders_has_its_run_too(dag_bag, platform):
    states = run(
        dag_bag, "product_recommendations", run_conf={"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    )
    assert states == dict.fromkeys(TASKS, "success")
    assert query(platform, "SELECT status, method FROM ml.recommendation_runs") == [("published", "popularity")]


def test_loading_orders_tells_whoever_waits_for_them_and_with_which_window(parsed_dags):
    [asset] = parsed_dags.dags["shop_to_features"].get_task("upsert_orders").outlets
    assert asset.uri == "regulars://shop/orders"
    waits_for = parsed_dags.dags["product_recommendations"].timetable.asset_condition.objects
    assert [each.uri for each in waits_for] == [asset.uri]
