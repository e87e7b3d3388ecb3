"""The pages: who may see them, what they are asked, and how they are written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from airflow.models.connection import Connection as AirflowConnection
from fastapi import Depends, FastAPI, Query
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from include.entities.window import Window
from include.features.definitions.snapshots import snapshots_of
from include.features.registry import FEATURE_VIEWS
from include.features.report import report_views
from include.warehouse.connection import WarehouseUnreachable, connect_warehouse

DAYS_SHOWN = 60
LONGEST_DAYS = 800

app = FastAPI(
    title="Regulars", docs_url=None, redoc_url=None, openapi_url=None,
    dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
)  # fmt: skip
_templates = Environment(loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=select_autoescape())


def warehouse() -> Iterator[Connection]:
    """A connection to the warehouse that the Airflow connection of that name leads to."""
    found = AirflowConnection.get_connection_from_secrets("warehouse")
    dsn = make_conninfo(
        host=found.host, port=found.port, user=found.login, password=found.password, dbname=found.schema,
        connect_timeout=5,
    )  # fmt: skip
    with connect_warehouse(dsn) as conn:
        yield conn


@app.exception_handler(WarehouseUnreachable)
def warehouse_is_away(*_: object) -> HTMLResponse:
    """No page without the warehouse; what the driver says may name its password's owner and stays in the log."""
    return HTMLResponse(_templates.get_template("away.html").render(), status_code=503)


@app.get("/features", response_class=HTMLResponse)
def features(
    conn: Annotated[Connection, Depends(warehouse)],
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
    with conn.transaction():
        conn.execute("SET LOCAL statement_timeout = '60s'")
        reports = report_views(conn, FEATURE_VIEWS.values(), window)
    page = _templates.get_template("features.html").render(
        reports=reports, window=window, problem=problem, now=datetime.now(UTC),
        snapshots={each.view.name: snapshots_of(window, cadence=each.view.cadence) for each in reports},
    )  # fmt: skip
    return HTMLResponse(page, status_code=400 if problem else 200)


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
