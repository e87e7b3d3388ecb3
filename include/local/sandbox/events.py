"""The event export: newline-delimited JSON in Segment's vocabulary, by half-open range and cursor.

`GET /v1/export/events?start=…&end=…&limit=…&cursor=…` gives the events received in `[start, end)`, ordered by
(receivedAt, messageId). `X-Next-Cursor` leads to the next page and is missing on the last one.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from bisect import bisect_left
from datetime import UTC, datetime

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from include.local.sandbox.shop import EventStream, Shop

MOST_EVENTS = 5_000
_DEFAULT_LIMIT = 1_000


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class EventExport:
    """The route of the export."""

    def __init__(self, shop: Shop, *, token: str) -> None:
        self._shop = shop
        self._token = token

    def routes(self) -> list[Route]:
        """Every route served, for a Starlette application."""
        return [Route("/v1/export/events", self._export, methods=["GET"])]

    async def _export(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except _Refused as error:
            body = msgspec.json.encode({"error": {"status": error.status, "message": str(error)}})
            return Response(body, status_code=error.status, media_type="application/json")

    def _answer(self, request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self._token.encode()):
            raise _Refused(401, "The bearer token is missing or not valid.")
        query = request.query_params
        start, end = _milliseconds(query.get("start"), "start"), _milliseconds(query.get("end"), "end")
        if end <= start:
            raise _Refused(400, "end must be after start.")
        limit = _limit(query.get("limit"))
        events = self._shop.events
        first = int(np.searchsorted(events.received, start))
        if "cursor" in query:
            first = max(first, _after_cursor(events, query["cursor"]))
        last = int(np.searchsorted(events.received, min(end, self._shop.now * 1_000)))
        page_end = max(first, min(first + limit, last))
        lines = events.lines[first:page_end]
        headers = {}
        if page_end < last:
            headers["X-Next-Cursor"] = _cursor(events, page_end - 1)
        body = b"".join(line + b"\n" for line in lines)
        return Response(body, headers=headers, media_type="application/x-ndjson")


def _milliseconds(text: str | None, name: str) -> int:
    if text is None:
        raise _Refused(400, f"{name} is required.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Refused(400, f"{name} must be an ISO 8601 instant.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    microseconds = round(moment.timestamp() * 1_000_000)
    return -(-microseconds // 1_000)


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_LIMIT
    if not text.isdigit() or not 1 <= int(text) <= MOST_EVENTS:
        raise _Refused(400, f"limit must be a whole number from 1 to {MOST_EVENTS}.")
    return int(text)


def _cursor(events: EventStream, position: int) -> str:
    plain = f"{events.received[position]}|{events.message_ids[position]}"
    return base64.urlsafe_b64encode(plain.encode()).decode()


def _after_cursor(events: EventStream, cursor: str) -> int:
    try:
        received, _, message_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        instant = int(received)
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _Refused(400, "cursor is not one that this export gave out.") from None
    first = int(np.searchsorted(events.received, instant, side="left"))
    last = int(np.searchsorted(events.received, instant, side="right"))
    position = bisect_left(events.message_ids, message_id, first, last)
    is_found = position < last and events.message_ids[position] == message_id
    return position + 1 if is_found else position
