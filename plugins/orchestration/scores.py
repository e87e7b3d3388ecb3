"""The tasks of the daily scores and their monitoring; scores and measurements stay in `ml`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.sdk import get_current_context, task

from orchestration.assets import TRAINING_REQUESTED
from orchestration.churn import registry
from orchestration.window import run_window, window_extra

log = logging.getLogger(__name__)

TRAINS_ON_DRIFT = "churn_trains_on_drift"
"""The Airflow variable that switches training on drift on, with `true`."""


@task
def score_customers() -> None:
    """Score everybody with the champion, by the features as known at the window's end."""
    from airflow.sdk.exceptions import AirflowSkipException

    from include.models.scores.champion import NoChampion, load_champion
    from include.models.scores.score import score_customers as score
    from orchestration.connections import warehouse

    try:
        champion = load_champion(registry())
    except NoChampion as missing:
        log.warning("score_customers skipped: %s", missing)
        raise AirflowSkipException(str(missing)) from missing
    with warehouse() as conn:
        score(conn, champion, snapshot_at=run_window(get_current_context()).end, now=datetime.now(UTC))


@task
def monitor_scores() -> int:
    """Compare inputs and scores with training, and old scores with what came; gives the number of alerts."""
    from include.models.scores.champion import load_champion
    from include.models.scores.monitor import monitor_scores as monitor
    from orchestration.connections import storage, warehouse

    with warehouse() as conn:
        alerts = monitor(
            conn, load_champion(registry()), snapshot_at=run_window(get_current_context()).end,
            now=datetime.now(UTC), storage=storage(),
        )  # fmt: skip
    return len(alerts)


@task(outlets=[TRAINING_REQUESTED])
def train_on_drift(alerts: int) -> None:
    """Have the churn model trained over this window, if something alerted and that is switched on."""
    from airflow.sdk.exceptions import AirflowSkipException

    from orchestration.connections import is_switched_on

    if not alerts:
        raise AirflowSkipException("Nothing drifted.")
    if not is_switched_on(TRAINS_ON_DRIFT):
        raise AirflowSkipException(
            f"{alerts} alerts; the variable {TRAINS_ON_DRIFT} is not `true`, so nothing is done."
        )
    context = get_current_context()
    context["outlet_events"][TRAINING_REQUESTED].extra = window_extra(run_window(context))
    log.info("train_on_drift alerts=%d requested=churn_model", alerts)
