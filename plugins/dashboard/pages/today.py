"""Today: did last night work."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse

from dashboard.shell import Page, WarehouseConnection, show

page = Page(name="today", title="Today", place=1)


@page.router.get("/today")
def today(request: Request, conn: WarehouseConnection) -> HTMLResponse:
    """What the last night brought."""
    return show(request, page, "today.html")
