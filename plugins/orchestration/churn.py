"""The four tasks of the churn model. Only ids pass between them; rows and models stay in storage and `ml`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.sdk import get_current_context, task

from orchestration.window import run_window

log = logging.getLogger(__name__)


@task
def build_training_set() -> str:
    """Labelled snapshots with their features as they were known; the window's end is where the data ends."""
    from airflow.sdk.exceptions import AirflowSkipException

    from include.models.churn.training_set import NotEnoughData
    from include.models.churn.training_set import build_training_set as build
    from orchestration.connections import storage

    try:
        with _warehouse() as conn:
            training_set = build(
                conn, window=run_window(get_current_context()), storage=storage(), now=datetime.now(UTC)
            )
    except NotEnoughData as too_little:
        log.warning("build_training_set skipped: %s", too_little)
        raise AirflowSkipException(str(too_little)) from too_little
    return training_set.training_set_id


@task
def train(training_set_id: str) -> str:
    """Fit the model and its baselines on the same rows."""
    from include.models.churn.train import train as fit
    from orchestration.connections import storage

    with _warehouse() as conn:
        return fit(conn, training_set_id=training_set_id, storage=storage(), now=datetime.now(UTC)).model_id


@task
def evaluate(model_id: str) -> str:
    """Score the last full label window with the model, its baselines and the champion."""
    from include.models.churn.evaluate import evaluate as judge
    from orchestration.connections import storage

    with _warehouse() as conn:
        judge(conn, model_id=model_id, storage=storage(), now=datetime.now(UTC))
    return model_id


@task
def promote(model_id: str) -> None:
    """Make it the champion if it beats the baselines and the champion; else say why not."""
    from include.models.churn.promote import promote as decide

    with _warehouse() as conn:
        decide(conn, model_id=model_id, now=datetime.now(UTC))


def _warehouse():
    from include.warehouse.connection import connect_warehouse
    from orchestration.connections import warehouse_dsn

    return connect_warehouse(warehouse_dsn())
