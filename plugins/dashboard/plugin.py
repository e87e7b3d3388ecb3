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
    from dashboard.pages import app

    await app(scope, receive, send)


class RegularsDashboard(AirflowPlugin):
    """A page about the feature store, for everyone who may see plugins."""

    name = "regulars_dashboard"
    fastapi_apps: ClassVar[list[Any]] = [{"app": pages, "url_prefix": "/regulars", "name": "Regulars"}]
    external_views: ClassVar[list[Any]] = [
        {
            "name": "Feature store",
            "href": "regulars/features",
            "destination": "nav",
            "category": "browse",
            "url_route": "feature-store",
        }
    ]
