"""Bring the marts up to date: revenue, cohorts, funnels, segments, baskets, and what else the business looks at.

Runs when orders and events have been loaded; one task for each mart, those that others are made of first. A mart that
is made day by day is made anew on the days whose facts have changed, any other as a whole; rows that come out as they
were are not written. The window of a run stands in the receipts and decides nothing: what is stale is known from the
facts, so that a backfill, a replay and late orders are followed alike. With `rebuild` all of each mart is made anew.

REGULARS_TIME_ZONE says where the shop's days begin (UTC if it is unset); after a change of it, or of a mart's SQL, the
next run makes the mart anew by itself.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. The mart is as it
was; clear the task and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import Param, dag
from orchestration.assets import EVENTS, ORDERS
from orchestration.marts import refresh_marts
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.window import WINDOW_PARAMS


@dag(
    schedule=[ORDERS, EVENTS],
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=WINDOW_PARAMS
    | {"rebuild": Param(False, type="boolean", title="Rebuild", description="Make all of each mart anew.")},
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["analytics", "impact:medium"],
)
def analytics_marts():
    refresh_marts()


analytics_marts()
