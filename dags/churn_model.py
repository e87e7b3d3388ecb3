"""Train, judge and perhaps promote the model that says who will not come back.

Runs every week, and when `customer_scores` asks for it because something drifted. The end of its window is where the
data ends: the test snapshot is the last whose 90 days of outcome are fully covered, and training uses snapshots whose
outcome was known before it. With too little data the run is skipped and says what is missing.

A model that does not beat its baselines and the champion, is not calibrated, or raised an alarm of a leak is kept and
reported, and not promoted. With the variable `churn_needs_approval` set to `true` a person is asked before one is:
see Required Actions. `python -m include.models rollback churn --reason "…"` takes a promotion back.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Clear the task
and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, dag
from orchestration.assets import TRAINING_REQUESTED
from orchestration.churn import GATE_PARAMS, approve_champion, build_training_set, evaluate, promote, train
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.window import WINDOW_PARAMS


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronDataIntervalTimetable("0 6 * * 1", timezone="UTC"), assets=[TRAINING_REQUESTED]
    ),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params={**WINDOW_PARAMS, **GATE_PARAMS},
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["churn", "model", "impact:medium"],
)
def churn_model():
    model = evaluate(train(build_training_set()))
    promote(model, approve_champion(model))


churn_model()
