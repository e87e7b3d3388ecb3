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

_EDITABLE = ("orders", "refunds", "products", "customers")


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
            Route("/_sandbox/edits", self._forget_edits, methods=["DELETE"]),
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
        name, key = request.path_params["collection"], request.path_params["id"]
        if name not in _EDITABLE:
            return JSONResponse({"error": f"There are no {name} to edit; use one of {sorted(_EDITABLE)}."}, 404)
        try:
            item = self.edit(name, {**await request.json(), "key": key})
        except EditRefused as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return Response(msgspec.json.encode(item), media_type="application/json")

    def edit(self, collection: str, change: Mapping[str, Any]) -> dict[str, Any]:
        """Change the record of a collection that `key` names, and give it as it is then.

        :raises EditRefused: there is no such record, line or field.
        """
        shop = self._shop
        return edit_record(getattr(shop, collection), change["key"], change=change, now=shop.now)

    async def _forget_edits(self, request: Request) -> Response:
        for name in _EDITABLE:
            getattr(self._shop, name).forget_edits()
        return await self._health(request)
