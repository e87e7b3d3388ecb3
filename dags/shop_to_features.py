"""Bring in the shop, then derive its features.

One run covers one window, `[start, end)` in UTC: yesterday, when it is scheduled. Trigger it with `start` and
`end` to cover a range in one run; `airflow backfill create` covers it with one run per day. Both give the same
tables. An event of the asset `shop_load_requested` with `start` and `end` in its extra starts a run as well.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Nothing is half
loaded; clear the task and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, chain, dag
from orchestration.assets import SHOP_LOAD_REQUESTED
from orchestration.features import build, publish_online
from orchestration.ingestion import ingest
from orchestration.quarantine import summarize
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.window import WINDOW_PARAMS

# Each with the pool that its extraction takes a slot of, named as the connection: so many ask one API at once.
ENTITIES = {
    "customers": "shop_api",
    "products": "shop_api",
    "orders": "shop_api",
    "refunds": "shop_api",
    "events": "event_export",
}
FEATURE_VIEWS = (
    "customer_rfm",
    "customer_activity",
    "customer_lifetime",
    "customer_basket",
    "customer_engagement",
    "customer_context",
    "product_demand",
)


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"), assets=[SHOP_LOAD_REQUESTED]
    ),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=WINDOW_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["shop", "features", "impact:high"],
)
def shop_to_features():
    loaded = [ingest(entity, pool=pool) for entity, pool in ENTITIES.items()]
    built = [build(view) for view in FEATURE_VIEWS]
    published = publish_online()
    for view in built:
        chain(loaded, view, published)
    chain(loaded, summarize(ENTITIES))


shop_to_features()
