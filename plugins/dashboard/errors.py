"""What the pages answer when something is wrong: what happened, and what to do. Never what a driver said: that may
name hosts and users, and stays in the log of the API server."""

from __future__ import annotations

import logging

from airflow.exceptions import AirflowNotFoundException
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from psycopg import Error, OperationalError
from psycopg.errors import QueryCanceled, UndefinedColumn, UndefinedTable
from starlette.exceptions import HTTPException

from dashboard.shell import LONGEST_STATEMENT, BadQuestion, NotThere, show
from include.warehouse.connection import WarehouseUnreachable

logger = logging.getLogger(__name__)

AWAY = (
    "The warehouse does not answer",
    "This page reads the database that the Airflow connection `warehouse` leads to. See that it runs and that the "
    "connection is right, then load the page again. Nothing is lost meanwhile.",
)
NO_CONNECTION = (
    "Airflow knows no warehouse",
    "Add the connection `warehouse` (type Postgres) under Admin, Connections, then load the page again.",
)
OLD_TABLES = (
    "The warehouse lacks a table or column",
    "Its migrations are older than these pages. Run `python -m include.warehouse`, then load the page again.",
)
TOO_LONG = (
    "The warehouse took too long",
    f"A question was given up after {LONGEST_STATEMENT}. Ask for a shorter time or fewer rows, or load the page again "
    "when the warehouse has less to do.",
)
FAILED = (
    "The warehouse refused a question",
    "That is a fault of this page. The log of Airflow's API server says what was asked and what was answered.",
)


def add_error_pages(app: FastAPI) -> None:
    """Answer errors of the application with pages (or JSON, to who asks for it)."""
    for kind, status, told in (
        (WarehouseUnreachable, 503, AWAY),
        (OperationalError, 503, AWAY),
        (AirflowNotFoundException, 503, NO_CONNECTION),
        (UndefinedTable, 503, OLD_TABLES),
        (UndefinedColumn, 503, OLD_TABLES),
        (QueryCanceled, 503, TOO_LONG),
        (Error, 500, FAILED),
    ):
        app.add_exception_handler(kind, _database_page(status, *told))
    app.add_exception_handler(BadQuestion, lambda request, error: _page(request, 400, "Not understood", str(error)))
    app.add_exception_handler(NotThere, lambda request, error: _page(request, 404, "Not there", str(error)))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


def _database_page(status: int, title: str, what_to_do: str):
    def answer(request: Request, error: Exception) -> Response:
        logger.warning("dashboard path=%s status=%s error=%s", request.url.path, status, error)
        return _page(request, status, title, what_to_do)

    return answer


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    told = "; ".join(f"`{each['loc'][-1]}`: {each['msg']}" for each in error.errors())
    return _page(request, 400, "Not understood", f"{told}. Correct the address, or choose anew from the navigation.")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title, what_to_do = {
        401: ("Not logged in", "Log in to Airflow, then load the page again."),
        403: ("Not allowed", "Your Airflow user may not see plugins. Ask an administrator for that permission."),
        404: ("Not there", "There is no such page. Choose one from the navigation."),
    }.get(error.status_code, ("Not possible", str(error.detail)))
    return _page(request, error.status_code, title, what_to_do)


def _page(request: Request, status: int, title: str, what_to_do: str) -> Response:
    if "text/html" not in request.headers.get("accept", "text/html") and "*/*" not in request.headers["accept"]:
        return JSONResponse({"title": title, "detail": what_to_do}, status_code=status)
    template = "stranger.html" if status in (401, 403) else "error.html"
    return show(request, None, template, status=status, title=title, what_to_do=what_to_do)
