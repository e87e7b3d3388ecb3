"""Score every customer with the champion, and see whether scores can still be trusted.

Runs whenever features have been published. At the end of its window each customer with features gets a churn
probability, a decile, the reasons in words and a discounted value with its interval into `ml.customer_scores`; earlier
snapshots are kept, and the same run again writes nothing twice. Without a champion the run is skipped and says so.

Then `monitor_scores` compares inputs and scores with training, and scores whose 90 days are over with what came, into
`ml.monitoring`. What drifts past its threshold is an alert: a line "monitor_scores alert" in the log and a row. With
the variable `churn_trains_on_drift` set to `true` an alert also has the DAG churn_model run over the same window.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Nothing is half
written; clear the task and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import dag
from orchestration.assets import FEATURES
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.scores import monitor_scores, score_customers, train_on_drift
from orchestration.window import WINDOW_PARAMS


@dag(
    schedule=[FEATURES],
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=WINDOW_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["churn", "scores", "impact:medium"],
)
def customer_scores():
    alerts = monitor_scores()
    score_customers() >> alerts
    train_on_drift(alerts)


customer_scores()
