"""Features: how the feature store stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from dashboard.shell import Page, WarehouseConnection, show
from include.entities.window import Window
from include.features.definitions.snapshots import snapshots_of
from include.features.registry import FEATURE_VIEWS
from include.features.report import report_views

DAYS_SHOWN = 60
LONGEST_DAYS = 800

page = Page(name="features", title="Features", place=5)


@page.router.get("/features")
def features(
    request: Request,
    conn: WarehouseConnection,
    start: Annotated[str, Query(max_length=40)] = "",
    end: Annotated[str, Query(max_length=40)] = "",
) -> HTMLResponse:
    """Which snapshots of each view exist, are missing or stale, and what a build over the window would do.

    :param start, end: instants or dates, UTC; by default the last sixty days.
    """
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    problem = ""
    try:
        window = _window(start, end, until=today)
    except ValueError as error:
        problem, window = str(error), Window(today - timedelta(days=DAYS_SHOWN), today)
    reports = report_views(conn, FEATURE_VIEWS.values(), window)
    return show(
        request, page, "features.html", status=400 if problem else 200, reports=reports, window=window,
        problem=problem, now=datetime.now(UTC),
        snapshots={each.view.name: snapshots_of(window, cadence=each.view.cadence) for each in reports},
    )  # fmt: skip


def _window(start: str, end: str, *, until: datetime) -> Window:
    """:raises ValueError: one of them is no instant, or they are no window that can be shown."""
    ends_at = _instant(end) if end else until
    starts_at = _instant(start) if start else ends_at - timedelta(days=DAYS_SHOWN)
    window = Window(starts_at, ends_at)
    if window.end - window.start > timedelta(days=LONGEST_DAYS):
        raise ValueError(f"{window} is longer than {LONGEST_DAYS} days. Choose a shorter one.")
    return window


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date. Write one as 2024-01-31.") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
