"""Bring in the weather where the customers live, and the share prices of the market.

One run covers one window and looks a week back, because the weather archive fills in its latest days late. Values
that have not changed are not written again.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Clear the task
and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import CronDataIntervalTimetable, chain, dag
from orchestration.ingestion import ingest
from orchestration.quarantine import summarize
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.window import WINDOW_PARAMS

# Each with the pool that its extraction takes a slot of, named as the connection: so many ask one API at once.
ENTITIES = {
    "weather_daily": "weather_api",
    "stock_prices_daily": "stock_api",
}


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=WINDOW_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["signals", "impact:low"],
)
def market_signals():
    chain([ingest(entity, pool=pool) for entity, pool in ENTITIES.items()], summarize(ENTITIES))


market_signals()
