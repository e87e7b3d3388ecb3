"""The three tasks of the recommendations. Only the run's id passes between them; its purchases stay in storage."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import get_current_context, task

from orchestration.window import run_window


@task
def build_candidates() -> str:
    """Pin the purchases up to the end of the window."""
    from include.models.recommendations.purchase_runs import build_candidates as build
    from orchestration.connections import storage, warehouse

    with warehouse() as conn:
        return build(conn, window=run_window(get_current_context()), storage=storage(), now=datetime.now(UTC))


@task
def evaluate_candidates(model_id: str) -> str:
    """Choose on the windows before the last, judge on the last, beside popularity."""
    from include.models.recommendations.evaluate import evaluate_candidates as judge
    from orchestration.connections import storage, warehouse

    with warehouse() as conn:
        judge(conn, model_id=model_id, storage=storage(), now=datetime.now(UTC))
    return model_id


@task
def publish_recommendations(model_id: str) -> None:
    """Replace what is published by what was chosen, whole."""
    from include.models.recommendations.publish import publish_recommendations as publish
    from orchestration.connections import storage, warehouse

    with warehouse() as conn:
        publish(conn, model_id=model_id, storage=storage(), now=datetime.now(UTC))
