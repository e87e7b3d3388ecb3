"""The two tasks of lifetime value; what they make is in `ml`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.sdk import get_current_context, task

from orchestration.window import run_window

log = logging.getLogger(__name__)


@task
def fit_lifetime() -> None:
    """Fit BG/NBD and Gamma-Gamma to all customers as known at the window's end."""
    from airflow.sdk.exceptions import AirflowSkipException

    from include.models.lifetime.maximum_likelihood import FitRefused
    from include.models.lifetime.refit import refit_lifetime
    from orchestration.connections import warehouse

    try:
        with warehouse() as conn:
            refit_lifetime(conn, snapshot_at=run_window(get_current_context()).end, now=datetime.now(UTC))
    except FitRefused as refused:
        log.warning("fit_lifetime skipped: %s", refused)
        raise AirflowSkipException(str(refused)) from refused


@task
def score_lifetime() -> None:
    """Write what each customer is worth at the window's end."""
    from include.models.lifetime.scores import score_lifetime as score
    from orchestration.connections import warehouse

    with warehouse() as conn:
        score(conn, snapshot_at=run_window(get_current_context()).end, now=datetime.now(UTC))
