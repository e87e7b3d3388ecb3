"""The `airflow` command with slow imports done first: `python -m include.local.warm_airflow scheduler`.

LocalExecutor forks its workers, and these fork every task, from the scheduler's process. What is imported here once,
each task would otherwise import anew: Great Expectations alone takes seconds, in every `validate_*`.
"""

from __future__ import annotations

import importlib
import logging
import runpy
import sys

# As names, because this package does not know Airflow; it only starts it.
MODULES = (
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.api.client",
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "great_expectations",
    "great_expectations.expectations",
    "pandas",
    "pyarrow.parquet",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "include.models.registry.model_registry",
    "include.ingestion.service",
    "include.sources.factory",
    "include.features.building.build",
    "include.features.history.historical",
    "include.features.online.publish",
    "include.warehouse.connection",
)


def warm_up() -> None:
    """Import what tasks will need. What cannot be imported is left to the task that needs it, which says why."""
    for name in MODULES:
        try:
            importlib.import_module(name)
        except Exception as error:  # Whatever it is, the task that needs it will say so.
            logging.getLogger(__name__).warning("%s could not be imported beforehand: %s", name, error)


if __name__ == "__main__":
    warm_up()
    sys.argv[0] = "airflow"
    runpy.run_module("airflow", run_name="__main__")
