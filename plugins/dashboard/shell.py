"""What all pages share: the login, a connection, the navigation, one template and the answers to errors.

How a page is added, by new files alone:

1. `pages/<name>.py` holds `page = Page(name="shop", title="Shop", place=2)` (`place` orders the navigation) and routes
   on `page.router`, whose paths begin with `/<name>`. Every route is behind Airflow's login by itself.
2. A route is a plain function (never `async`: it runs in a thread, off the event loop). It takes `request: Request` and
   `conn: WarehouseConnection` and returns `show(request, page, "<name>.html", ...values of the template...)`.
   What is done on the connection is rolled back, and a statement is given up after `LONGEST_STATEMENT`. Queries stand
   beside the page, in `pages/<name>_queries.py`, parameters bound.
3. `templates/<name>.html` extends `base.html` and fills the block `body`. It has one `<h1>`, wide tables stand in
   `<div class="scroll" tabindex="0" role="region" aria-label="...">`. Links to other pages are `{{ root }}/<name>`, to
   Airflow's own `<a data-airflow href="{{ airflow }}/dags/...">` (the shell opens these outside the frame that Airflow
   shows the pages in). Styles are in `static/style.css`, whose first lines say what there is. Values are written by
   the filters of `dashboard.words`: `number`, `amount`, `share`, `day`, `instant`, `ago`, `seconds`.
4. A chart is a `dashboard.charts.Chart` given to the template and drawn by `{{ draw(chart) }}`. The template begins
   with `{% from "macros.html" import draw, rows_table, empty, charts_scripts with context %}` after its `extends` and
   has `{% block scripts %}{{ charts_scripts() }}{% endblock %}`.
5. A choice in a form comes as a query parameter. What cannot be read raises `BadQuestion("... what to write instead")`.
   A thing that is not there raises `NotThere("...")`. Errors of the database need no care: see `dashboard.errors`.
6. If there is nothing to show, say what to do: `{{ empty("No orders yet.", "Run shop_to_features ...") }}`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from airflow.models.connection import Connection as AirflowConnection
from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from dashboard import words
from dashboard.static_files import address_of
from include.warehouse.connection import connect_warehouse

LONGEST_STATEMENT = "20s"
PREFIX = "/regulars"
HEADERS = {
    # Vega compiles its expressions, and its tooltip writes a style element.
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'self'",
    "Cache-Control": "private, no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One entry of the navigation, with its routes.

    :param name: first part of its path.
    :param place: where it stands in the navigation, counted from 1.
    """

    name: str
    title: str
    place: int
    router: APIRouter = field(default_factory=APIRouter)


class BadQuestion(ValueError):
    """What was asked for in a query cannot be shown; the message says what to ask instead."""


class NotThere(LookupError):
    """The thing that the page is about does not exist."""


def all_pages() -> list[Page]:
    """The page of every module of `dashboard.pages` that has one, in the order of the navigation."""
    from dashboard import pages

    modules = [
        importlib.import_module(f"{pages.__name__}.{each.name}") for each in pkgutil.iter_modules(pages.__path__)
    ]
    return sorted((module.page for module in modules if hasattr(module, "page")), key=lambda page: page.place)


def _warehouse() -> Iterator[Connection]:
    """A connection to the warehouse that the Airflow connection of that name leads to; nothing on it is committed."""
    found = AirflowConnection.get_connection_from_secrets("warehouse")
    dsn = make_conninfo(
        host=found.host, port=found.port, user=found.login, password=found.password, dbname=found.schema,
        connect_timeout=5,
    )  # fmt: skip
    with connect_warehouse(dsn) as conn:
        conn.execute("SELECT set_config('statement_timeout', %s, false)", (LONGEST_STATEMENT,))
        try:
            yield conn
        finally:
            conn.rollback()


WarehouseConnection = Annotated[Connection, Depends(_warehouse)]

templates = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=select_autoescape(),
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
templates.filters |= words.FILTERS
templates.globals["filtered"] = lambda value, name: words.FILTERS[name](value)


def show(request: Request, page: Page | None, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page written by its template.

    :param page: which entry of the navigation is the current one, if any.
    """
    root = request.scope["root_path"]
    text = templates.get_template(template).render(
        page=page, pages=request.app.state.pages, root=root, airflow=root.removesuffix(PREFIX),
        static=lambda name: f"{root}/static/{address_of(name)}", **values,
    )  # fmt: skip
    return HTMLResponse(text, status_code=status, headers=HEADERS)
