"""The tasks of the churn model. Only ids pass between them; rows and models stay in storage and `ml`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param, get_current_context, task

from orchestration.window import run_window

GATE_PARAMS = {
    "largest_calibration_error": Param(
        0.1,
        type="number",
        minimum=0,
        maximum=1,
        title="Largest calibration error",
        description="Expected calibration error on the test rows (ten bins) up to which a model may be promoted. With "
        "few customers even true probabilities show some: about 0.03 with 1,000, 0.08 with 150.",
    ),
}
"""What the gate asks besides better figures, in the trigger form of churn_model."""

log = logging.getLogger(__name__)


@task
def build_training_set() -> str:
    """Labelled snapshots with their features as they were known; the window's end is where the data ends."""
    from airflow.sdk.exceptions import AirflowSkipException

    from include.models.churn.training_set import NotEnoughData
    from include.models.churn.training_set import build_training_set as build
    from orchestration.connections import storage, warehouse

    try:
        with warehouse() as conn:
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
    from orchestration.connections import storage, warehouse

    with warehouse() as conn:
        model = fit(conn, registry(), training_set_id=training_set_id, storage=storage(), now=datetime.now(UTC))
    return model.model_id


@task
def evaluate(model_id: str) -> str:
    """Score the last full label window with the model, its baselines and the champion."""
    from include.models.churn.evaluate import evaluate as judge
    from orchestration.connections import storage, warehouse

    with warehouse() as conn:
        judge(conn, registry(), model_id=model_id, storage=storage(), now=datetime.now(UTC))
    return model_id


def approve_champion(model_id: str):
    """Ask a person, where that is switched on and the model passes the gate."""
    from orchestration.approval import ApprovePromotion

    return ApprovePromotion(task_id="approve_champion", model_id=model_id).output


@task
def promote(model_id: str, answer: dict[str, str]) -> None:
    """Make it the champion if it passes the gate and nobody who was asked said no; else say why not.

    :param answer: of `approve_champion`; empty when nobody was asked.
    """
    from include.models.churn.promote import promote as decide
    from orchestration.connections import warehouse

    gate = gate_of(get_current_context())
    with warehouse() as conn:
        decide(conn, registry(), model_id=model_id, now=datetime.now(UTC), **gate, **(answer or {}))


def gate_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """What of the gate is set by the run's parameters."""
    return {name: context["params"][name] for name in GATE_PARAMS}


def registry():
    """The model registry."""
    from include.models.registry.settings import registry_from_environment

    return registry_from_environment()
