"""Remove from landing what is older than it is to be kept.

Landing holds every answer of every source as it came, personal data included, so that anything can be loaded again.
Every day this removes the batches that began more than REGULARS_LANDING_DAYS days ago (30 unless set) and what killed
processes left behind over a day ago. What has been removed cannot be replayed any more.

If the task fails: the line "Task failed with exception" in its log says what happened and what to do. Nothing is half
removed; clear the task and it goes on.
"""

from datetime import UTC, datetime

from airflow.sdk import CronDataIntervalTimetable, dag
from orchestration.landing import expire_landing
from orchestration.retries import DEFAULT_ARGUMENTS


@dag(
    schedule=CronDataIntervalTimetable("30 3 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["landing", "personal data", "impact:medium"],
)
def landing_retention():
    expire_landing()


landing_retention()
