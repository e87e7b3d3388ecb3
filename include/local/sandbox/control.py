"""The sandbox's own routes under `/_sandbox`: health, the clock, edits, the log of requests. No real shop has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.local.sandbox.edits import EditRefused, edit_record
from include.local.sandbox.instants import parse_instant, zulu
from include.local.sandbox.shop import Shop


class Control:
    """Health and handles for tests.

    :param log: the requests answered so far, oldest first.
    """

    def __init__(self, shop: Shop, *, instance: str, log: Iterable[Mapping[str, Any]]) -> None:
        self._shop = shop
        self._instance = instance
        self._log = log

    def routes(self) -> list[Route]:
        """Every route served, for a Starlette application."""
        return [
            Route("/_sandbox/health", self._health, methods=["GET"]),
            Route("/_sandbox/clock", self._clock, methods=["POST"]),
            Route("/_sandbox/requests", self._requests, methods=["GET"]),
            Route("/_sandbox/{collection}/{id:int}/edit", self._edit, methods=["POST"]),
        ]

    async def _health(self, request: Request) -> Response:
        shop = self._shop
        return JSONResponse(
            {
                "instance": self._instance,
                "shop": shop.kind,
                "start": zulu(shop.start),
                "end": zulu(shop.end),
                "now": zulu(shop.now),
                "currency": shop.currency,
                **shop.counts,
            }
        )

    async def _clock(self, request: Request) -> Response:
        """Set the clock: `{"now": "2024-06-01T00:00:00Z"}`."""
        body = await request.json()
        try:
            self._shop.now = parse_instant(body["now"])
        except (KeyError, TypeError, ValueError) as error:
            return JSONResponse({"error": f'Send {{"now": "<ISO 8601 instant>"}}: {error!r}'}, status_code=400)
        return await self._health(request)

    async def _requests(self, request: Request) -> Response:
        return JSONResponse(list(self._log))

    async def _edit(self, request: Request) -> Response:
        """Change a record: see `edits.edit_record`."""
        collections = {
            "orders": self._shop.orders,
            "products": self._shop.products,
            "customers": self._shop.customers,
        }
        name, key = request.path_params["collection"], request.path_params["id"]
        if name not in collections:
            return JSONResponse({"error": f"There are no {name} to edit; use one of {sorted(collections)}."}, 404)
        try:
            item = edit_record(collections[name], key, change=await request.json(), now=self._shop.now)
        except EditRefused as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return Response(msgspec.json.encode(item), media_type="application/json")
