"""The tasks of the marts: one each."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.sdk import get_current_context, task

from include.analytics.registry import MARTS, refreshed_before


def refresh_marts() -> None:
    """The tasks `refresh_<mart>`: those of marts that others are made of first, the rest side by side.

    What is made of what is noted before the catalogue is made.
    """
    noted = note_lineage()
    refreshed = {
        name: refresh_mart.override(task_id=f"refresh_{name}", doc_md=mart.words)(name) for name, mart in MARTS.items()
    }
    for name, mart in MARTS.items():
        for upstream in refreshed_before(mart):
            refreshed[upstream] >> refreshed[name]
        if "analytics.lineage" in mart.inputs:
            noted >> refreshed[name]


@task
def refresh_mart(name: str) -> None:
    """Bring one mart up to what the facts say now; with the run's parameter `rebuild`, make all of it anew."""
    from include.analytics.refresh import data_until, refresh
    from include.analytics.registry import mart_named
    from include.analytics.settings import mart_settings_of, time_zone_of
    from orchestration.connections import warehouse
    from orchestration.window import run_window

    context = get_current_context()
    with warehouse() as conn:
        refresh(
            conn, mart_named(name), window=run_window(context), until=data_until(conn), now=datetime.now(UTC),
            time_zone=time_zone_of(os.environ), settings=mart_settings_of(os.environ),
            rebuild=bool(context["params"].get("rebuild")),
        )  # fmt: skip


@task
def note_lineage() -> None:
    """Write down what is made of what, as the code and the database have it now."""
    from include.lineage import note_lineage as note
    from orchestration.connections import warehouse

    with warehouse() as conn:
        note(conn, now=datetime.now(UTC))
