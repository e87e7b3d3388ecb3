"""Registers the pages with Airflow. Every process of Airflow imports this: nothing heavy before a request comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

Scope = MutableMapping[str, Any]


async def pages(
    scope: Scope, receive: Callable[[], Awaitable[Scope]], send: Callable[[Scope], Awaitable[None]]
) -> None:
    """The pages themselves, an ASGI application."""
    from dashboard.app import app

    await app(scope, receive, send)


class RegularsDashboard(AirflowPlugin):
    """The shop's pages, for everyone who may see plugins."""

    name = "regulars_dashboard"
    fastapi_apps: ClassVar[list[Any]] = [{"app": pages, "url_prefix": "/regulars", "name": "Regulars"}]
    external_views: ClassVar[list[Any]] = [
        {
            "name": "Regulars",
            "href": "regulars/today",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "regulars",
            "icon": "regulars/static/icon.svg",
            "icon_dark_mode": "regulars/static/icon-dark.svg",
        }
    ]
