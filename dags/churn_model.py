"""Train, judge and perhaps promote the model that says who will not come back.

Runs every week, and whenever new features have been published. The end of its window is where the data ends: the
test snapshot is the last whose 90 days of outcome are fully covered, and training uses snapshots whose outcome was
known before it. A model that does not beat its baselines and the champion is kept and reported, and not promoted.
With too little data the run is skipped and says what is missing.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Clear the task
and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, dag
from orchestration.assets import FEATURES
from orchestration.churn import build_training_set, evaluate, promote, train
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.window import WINDOW_PARAMS


@dag(
    schedule=AssetOrTimeSchedule(timetable=CronDataIntervalTimetable("0 6 * * 1", timezone="UTC"), assets=[FEATURES]),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=WINDOW_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["churn", "model", "impact:medium"],
)
def churn_model():
    promote(evaluate(train(build_training_set())))


churn_model()
