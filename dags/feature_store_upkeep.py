"""Keep the feature store in order: statistics of every snapshot, retention, tables in the order they are read in.

Every night this measures the snapshots that have no statistics yet, removes those that the policy does not keep and the
changes that every view has taken in, and brings the Parquet files that large training sets are joined from up to date
(folder `features` in REGULARS_STORAGE). On Sundays it puts the history of each view back into the order of its reads.

REGULARS_FEATURE_DAILY_DAYS, REGULARS_FEATURE_WEEKLY_DAYS and REGULARS_FEATURE_MONTHLY_DAYS are the policy: for how many
days every snapshot, those of Mondays, and those of the first of a month are kept. Unset is for ever; nothing else
removes a snapshot.

If a task fails: the line "Task failed with exception" in its log says what happened and what to do. Nothing is half
done; clear the task and it goes on.
"""

from datetime import UTC, datetime

from airflow.sdk import CronDataIntervalTimetable, chain, dag
from orchestration.feature_upkeep import compact_features, measure_features, mirror_features, thin_features
from orchestration.retries import DEFAULT_ARGUMENTS


@dag(
    schedule=CronDataIntervalTimetable("30 4 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGUMENTS,
    doc_md=__doc__,
    tags=["features", "impact:medium"],
)
def feature_store_upkeep():
    chain(measure_features(), thin_features(), [mirror_features(), compact_features()])


feature_store_upkeep()
