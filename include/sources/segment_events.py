"""Web events in the Segment e-commerce vocabulary, from an export that speaks newline-delimited JSON.

A cursor's pages follow one another, so a long window is cut into slices of time that are read side by side.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from include.entities.events import EVENTS, Event
from include.entities.window import Window
from include.sources.http import DEFAULT_LIMITS, HttpClient, HttpLimits
from include.sources.parsing import RowRejected, parse_rows, required_utc
from include.sources.settings import SourceSettings
from include.sources.side_by_side import side_by_side
from include.sources.source import Page, Parsed

PATH = "/v1/export/events"
PER_PAGE = 5000
SHORTEST_SLICE = timedelta(days=7)
SLICES = 8


class WireEvent(msgspec.Struct, rename="camel"):
    """The fields of a track call that are used."""

    message_id: str
    event: str
    timestamp: datetime
    received_at: datetime
    user_id: str | None = None
    anonymous_id: str | None = None
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}


_PERSONAL = frozenset({"ip", "traits", "email", "userAgent"})


def to_event(wire: WireEvent) -> Event:
    """An event from its wire form. Personal data in the context is left behind."""
    context = {name: value for name, value in wire.context.items() if name not in _PERSONAL}
    return Event(
        event_id=wire.message_id,
        event_name=wire.event,
        customer_id=_number(wire.user_id, "userId"),
        anonymous_id=wire.anonymous_id,
        product_id=_number(wire.properties.get("product_id"), "product_id"),
        order_id=_number(wire.properties.get("order_id"), "order_id"),
        properties={**wire.properties, "context": context},
        occurred_at=required_utc(wire.timestamp, "timestamp"),
        source_updated_at=required_utc(wire.received_at, "receivedAt"),
    )


class SegmentEvents:
    """The event export, by the time events were received."""

    entity = EVENTS
    _row_decoder = msgspec.json.Decoder(WireEvent)

    def __init__(self, settings: SourceSettings, *, limits: HttpLimits = DEFAULT_LIMITS) -> None:
        self.name = settings.name
        self._settings = settings
        self._limits = limits

    async def pages(self, window: Window) -> AsyncIterator[Page]:
        """All pages of the window, slices of time side by side.

        :raises SourceError: a page could not be had.
        """
        async with HttpClient(self._settings, window=window, limits=self._limits) as http:
            streams = [self._slice(http, part) for part in _slices(window.widened(back=self.entity.look_back))]
            async for page in side_by_side(streams, ahead=self._limits.concurrency):
                yield page

    async def _slice(self, http: HttpClient, part: Window) -> AsyncIterator[Page]:
        params = {"start": part.start.isoformat(), "end": part.end.isoformat(), "limit": str(PER_PAGE)}
        headers = {"Authorization": f"Bearer {self._settings.password}"}
        cursor: str | None = ""
        while cursor is not None:
            asked = {**params, "cursor": cursor} if cursor else params
            answer = await http.get(PATH, params=asked, headers=headers)
            yield Page(body=answer.body, request=f"{PATH}?{urlencode(asked)}", received_at=answer.received_at)
            cursor = answer.headers.get("X-Next-Cursor")

    def split(self, body: bytes, window: Window) -> list[bytes]:
        """The raw lines of a page."""
        return [line for line in body.split(b"\n") if line.strip()]

    def split_lines(self, row: bytes) -> list[bytes]:
        """Events have no lines."""
        return []

    def parse(self, page: Page, window: Window) -> Parsed:
        """Events of a page."""
        return parse_rows(
            self.entity.name,
            page.body,
            split=lambda body: self.split(body, window),
            page_decoder=None,
            row_decoder=self._row_decoder,
            to_record=to_event,
        )


def _slices(window: Window) -> list[Window]:
    length = max((window.end - window.start) / SLICES, SHORTEST_SLICE)
    starts = [window.start]
    while starts[-1] + length < window.end:
        starts.append(starts[-1] + length)
    return [Window(start, end) for start, end in zip(starts, [*starts[1:], window.end], strict=True)]


def _number(value: Any, name: str) -> int | None:
    if value is None or value == "":
        return None
    text = str(value)
    if not text.isascii() or not text.isdigit() or int(text) >= 2**63:
        raise RowRejected("id", f"{name} {text[:40]!r} is not an id")
    return int(text)
