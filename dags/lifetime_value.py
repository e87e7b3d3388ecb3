"""Fit lifetime value anew and say what every customer is worth.

Runs every week. At the end of its window it takes the histories of all customers as known then (feature view
`customer_lifetime`), fits how often customers buy and when they leave (BG/NBD) and what a purchase is worth
(Gamma-Gamma) into `ml.lifetime_models`, and writes each customer's discounted value with its interval into
`ml.lifetime_values`. Fits and values of earlier weeks are kept; the same run again writes nothing twice.
With too few customers who came back the run is skipped and says how many are missing.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Clear the task
and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import CronDataIntervalTimetable, chain, dag
from orchestration.lifetime import fit_lifetime, score_lifetime
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.window import WINDOW_PARAMS


@dag(
    schedule=CronDataIntervalTimetable("0 5 * * 1", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=WINDOW_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["lifetime value", "model", "impact:medium"],
)
def lifetime_value():
    chain(fit_lifetime(), score_lifetime())


lifetime_value()
