"""Recommend products: to each customer, beside each product, and to those nobody knows.

Runs whenever orders have been loaded. The end of its window is where the data ends. What speaks for a product (bought
before, bought by who bought the same, likeness of vectors, popularity) is weighed on the windows of 30 days before the
last one, judged on the last one beside popularity alone, and published whole; if it does not beat popularity, what is
popular is published, and the log says so. An older window never takes the place of a newer one.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Readers keep what
was published before; clear the task and it runs again.
"""

from datetime import UTC, datetime

from airflow.sdk import dag
from orchestration.assets import ORDERS
from orchestration.recommendations import build_candidates, evaluate_candidates, publish_recommendations
from orchestration.retries import DEFAULT_ARGUMENTS
from orchestration.window import WINDOW_PARAMS


@dag(
    schedule=[ORDERS],
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=WINDOW_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["recommendations", "model", "impact:medium"],
)
def product_recommendations():
    publish_recommendations(evaluate_candidates(build_candidates()))


product_recommendations()
