"""Features: how the feature store stands, and each view with its definition and statistics."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query, Request, Response

from dashboard.pages import features_charts as charts
from dashboard.shell import NotThere, Page, WarehouseConnection, show
from include.entities.window import Window
from include.features.definitions.snapshots import snapshots_of
from include.features.definitions.versions import UnknownVersion, current_version
from include.features.registry import FEATURE_VIEWS
from include.features.report import newest_snapshot, report_views, version_states
from include.features.upkeep.statistics import QUANTILES, statistics_of, statistics_over_time

DAYS_SHOWN = 60
LONGEST_DAYS = 800
SNAPSHOTS_SHOWN = 370

page = Page(name="features", title="Features", place=5)


@page.router.get("/features")
def features(
    request: Request,
    conn: WarehouseConnection,
    start: Annotated[str, Query(max_length=40)] = "",
    end: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Which snapshots of each view exist, are missing or stale, and what a build over the window would do.

    :param start, end: instants or dates, UTC; by default the last sixty days, of a store that was left longer ago
        those before its newest snapshot.
    """
    now = datetime.now(UTC)
    newest = newest_snapshot(conn)
    until = now.replace(hour=0, minute=0, second=0, microsecond=0)
    is_left = newest is not None and newest < until - timedelta(days=DAYS_SHOWN)
    until = newest if is_left and newest else until
    problem = ""
    try:
        window = _window(start, end, until=until)
    except ValueError as error:
        problem, window = str(error), Window(until - timedelta(days=DAYS_SHOWN), until)
    reports = report_views(conn, FEATURE_VIEWS.values(), window)
    return show(
        request, page, "features.html", status=400 if problem else 200, reports=reports, window=window,
        problem=problem, now=now, left_at=newest if is_left and not (start or end) else None,
        snapshots={each.view.name: snapshots_of(window, cadence=each.view.cadence) for each in reports},
    )  # fmt: skip


@page.router.get("/features/{name}")
def view(
    request: Request, conn: WarehouseConnection, name: str, feature: Annotated[str, Query(max_length=80)] = ""
) -> Response:
    """One view: its definition, its features with statistics of the newest measured snapshot, one of them over time.

    :param feature: the one that is drawn; by default the first.
    """
    if name not in FEATURE_VIEWS:
        raise NotThere(f"There is no feature view {name!r}. There are: {', '.join(FEATURE_VIEWS)}.")
    definition = FEATURE_VIEWS[name]
    drawn = next((each for each in definition.features if each.name == feature), definition.features[0])
    try:
        version = current_version(conn, definition)
    except UnknownVersion:
        version, told, over_time = None, [], []
    else:
        told = statistics_of(conn, version)
        over_time = statistics_over_time(conn, version, drawn.name, newest=SNAPSHOTS_SHOWN)
    return show(
        request, page, "feature_view.html",
        view=definition, version=version, drawn=drawn, told={each.feature: each for each in told},
        measured_at=told[0].event_time if told else None, places={share: n for n, share in enumerate(QUANTILES)},
        null_share=charts.null_share, versions=version_states(conn, name),
        spread=charts.spread_chart(drawn, over_time), rows=charts.rows_chart(drawn, over_time),
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
