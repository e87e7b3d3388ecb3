"""Data: the catalogue of every table and column, with lineage drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request, Response

from dashboard.pages.data_lineage import BOX_HEIGHT, draw_all, draw_around
from dashboard.shell import NotThere, Page, WarehouseConnection, show
from include.analytics.inventory import catalogue_columns, catalogue_table, catalogue_tables, lineage_edges

page = Page(name="data", title="Data", place=6)


@page.router.get("/data")
def data(request: Request, conn: WarehouseConnection, search: Annotated[str, Query(max_length=100)] = "") -> Response:
    """All tables, or those that a search finds.

    :param search: words that are all in a name, a description or the owner of a table or its columns.
    """
    tables = catalogue_tables(conn, search=search)
    edges = {(each.upstream, each.downstream) for each in lineage_edges(conn)} if tables and not search else set()
    schemas = sorted({each.schema_name for each in tables})
    return show(
        request, page, "data.html",
        tables=tables, search=search, schemas=schemas, now=datetime.now(UTC), box_height=BOX_HEIGHT,
        lineage=draw_all(edges) if edges else None,
    )  # fmt: skip


@page.router.get("/data/{name}")
def table(request: Request, conn: WarehouseConnection, name: str) -> Response:
    """One table: what it holds, what it is made of, what is made of it, and its columns.

    :param name: with its schema.
    """
    found = catalogue_table(conn, name)
    if found is None:
        raise NotThere(
            f"The catalogue has no table {name!r}. It is made anew by the DAG analytics_marts (data_inventory); search "
            "on the page Data for what there is."
        )
    edges = lineage_edges(conn)
    ends = {(each.upstream, each.downstream) for each in edges}
    return show(
        request, page, "data_table.html",
        table=found, columns=catalogue_columns(conn, found), now=datetime.now(UTC), box_height=BOX_HEIGHT,
        lineage=draw_around(ends, name) if any(name in each for each in ends) else None,
        made_of=[each for each in edges if each.downstream == name],
        used_by=[each for each in edges if each.upstream == name],
    )  # fmt: skip
