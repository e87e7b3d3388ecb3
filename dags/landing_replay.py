"""Load a range again from landing, without asking any API.

Trigger it by hand and fill in an entity and a range: every batch of that entity whose window overlaps the range is
validated by today's rules and merged, oldest first. What is in the tables already stays untouched. Run it after a
table was lost, or after a rule was mended. Features follow with their next build.

If the task fails: the line "Task failed with exception" in its log says what happened and what to do. The batches
before the one that fails are loaded; clear the task and it begins anew, which changes nothing that is loaded.
"""

from datetime import UTC, datetime

from airflow.sdk import dag
from orchestration.landing import REPLAY_PARAMS, replay_landing
from orchestration.retries import DEFAULT_ARGUMENTS


@dag(
    schedule=None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=REPLAY_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["landing", "by hand", "impact:medium"],
)
def landing_replay():
    replay_landing()


landing_replay()
