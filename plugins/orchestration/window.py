"""The one place where a run becomes a window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param

from include.entities.window import Window

WINDOW_PARAMS = {
    "start": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Start",
        description="First instant of the range to cover, for example 2024-01-01T00:00:00Z. "
        "Leave both empty for the run's own interval.",
    ),
    "end": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="End",
        description="First instant after the range. A single day D is start = D, end = D + 1. "
        "A year in one run gives the same tables as 365 daily runs, and sooner.",
    ),
}
"""Shown in the trigger form of every DAG."""


class NoWindow(ValueError):
    """The run says nothing from which a window could be had."""


class WindowNotOver(ValueError):
    """The window ends in the future, so nobody can have all of it."""


def run_window(context: Mapping[str, Any]) -> Window:
    """The window `[start, end)` that this run covers, in UTC.

    In this order: the run's `start` and `end` parameters; the data interval (scheduled, backfill,
    `airflow dags test`, manual with a logical date); the span of the windows carried by the asset events that
    triggered it. The logical date computes nothing.

    :raises EmptyWindow: the interval holds no instant, or its end lies before its start.
    :raises NaiveTime: a parameter has no time zone.
    :raises NoWindow: only one of `start` and `end` is given, or there is nothing to go by.
    :raises WindowNotOver: it ends after now; its receipt would claim what has not happened yet.
    """
    window, now = _find(context), datetime.now(UTC)
    if window.end > now:
        raise WindowNotOver(
            f"The window {window} ends in the future; it is {now:%Y-%m-%dT%H:%M:%SZ}. Nothing was done. "
            "Trigger it again with an `end` that has passed."
        )
    return window


def _find(context: Mapping[str, Any]) -> Window:
    params = context.get("params") or {}
    if params.get("start") or params.get("end"):
        return given_window(params)
    run = context["dag_run"]
    if run.data_interval_start is not None and run.data_interval_end is not None:
        return Window(run.data_interval_start, run.data_interval_end)
    windows = list(_event_windows(context))
    if windows:
        return Window(min(window.start for window in windows), max(window.end for window in windows))
    raise NoWindow(
        f"The run {run.run_id} has no data interval, no `start` and `end`, and no asset event that carries a window. "
        "Trigger it again and fill in `start` and `end`."
    )


def given_window(params: Mapping[str, Any]) -> Window:
    """The window of a run's `start` and `end` parameters.

    :raises EmptyWindow: it holds no instant.
    :raises NaiveTime: one has no time zone.
    :raises NoWindow: one of them is missing or no time.
    """
    start, end = params.get("start"), params.get("end")
    if not (start and end):
        given, missing = ("start", "end") if start else ("end", "start")
        raise NoWindow(f"The run has a `{given}` and no `{missing}`. Trigger it again with both, or with neither.")
    return Window(_instant("start", start), _instant("end", end))


def given_instant(params: Mapping[str, Any], name: str) -> datetime | None:
    """One of a run's parameters as an instant; a time without a zone is UTC. None if it was left empty.

    :raises NoWindow: it is no time.
    """
    if not params.get(name):
        return None
    instant = _instant(name, params[name])
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def window_extra(window: Window) -> dict[str, str]:
    """What an asset event carries, so that the runs it triggers know their window."""
    return {"start": window.start.isoformat(), "end": window.end.isoformat()}


def _instant(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise NoWindow(f"`{name}` is {text!r}, which is no ISO 8601 time. Write 2024-01-01T00:00:00Z.") from None


def _event_windows(context: Mapping[str, Any]):
    for events in (context.get("triggering_asset_events") or {}).values():
        for event in events:
            extra = event.extra or {}
            if extra.get("start") and extra.get("end"):
                yield Window(_instant("start", extra["start"]), _instant("end", extra["end"]))
