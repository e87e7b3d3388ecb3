"""Try rejected rows again, after a rule or the reading of a source was mended.

Trigger it by hand. Every open row in quarantine (of one entity, rule or range, if you fill these in) is taken from
landing, judged by today's code and rules, and loaded if it now passes; what features have to repair follows with their
next build. Rows that still fail keep their place with the newest reason. docs/quarantine.md tells how to work with it.

If the task fails: the line "Task failed with exception" in its log says what happened and what to do. When some rows
still fail it says so by failing, too; what passed is loaded all the same. Clear the task and it goes on.
"""

from datetime import UTC, datetime

from airflow.sdk import dag
from orchestration.quarantine import QUARANTINE_PARAMS, replay_quarantine
from orchestration.retries import DEFAULT_ARGUMENTS


@dag(
    schedule=None,
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=QUARANTINE_PARAMS,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["quarantine", "by hand", "impact:medium"],
)
def quarantine_replay():
    replay_quarantine()


quarantine_replay()
