"""Two DAGs for Airflow's metrics: one with a task that fails, one that the scheduler ends by itself."""

from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, task

START = datetime(2024, 1, 1, tzinfo=UTC)


@dag(schedule=None, start_date=START, default_args={"retries": 0})
def probe_tasks():
    @task
    def ends_well() -> None:
        pass

    @task
    def fails() -> None:
        raise ValueError("on purpose")

    ends_well() >> fails()


@dag(schedule=None, start_date=START, is_paused_upon_creation=False)
def probe_run():
    EmptyOperator(task_id="nothing")


probe_tasks()
probe_run()
