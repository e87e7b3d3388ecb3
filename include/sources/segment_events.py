"""Web events in the Segment e-commerce vocabulary, from an export that speaks newline-delimited JSON.

A cursor's pages follow one another, so a long window is cut into slices of time that are read side by side.
The export does not say how many events there are. What would end or repeat a slice unseen is therefore refused and
asked for again: an answer that is no list of events, a page of which every row was there before, and one with a row
that lies outside of the slice. The answer to another question that lies within the slice looks like its own. So where a
slice begins and where it ends, which is at a page that names no next one, two answers in a row must agree.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from include.entities.events import EVENTS, Event
from include.entities.window import Window
from include.sources.errors import SourceUnreachable
from include.sources.free_numbers import exact_float
from include.sources.http import Answer, HttpClient
from include.sources.http_source import HttpSource
from include.sources.other_answers import is_of_another_time
from include.sources.parsing import decode, id_of, required_utc
from include.sources.personal_data import without_personal_data
from include.sources.side_by_side import side_by_side
from include.sources.source import Page

log = logging.getLogger(__name__)

PATH = "/v1/export/events"
PER_PAGE = 5000
SHORTEST_SLICE = timedelta(days=7)
SLICES = 8
NEXT_CURSOR = "X-Next-Cursor"
ANSWERS_COMPARED = 6
"""How often the beginning or the end of a slice is asked for again before the task is given up."""


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


class _Mark(msgspec.Struct, rename="camel"):
    message_id: str
    received_at: datetime


_MARK = msgspec.json.Decoder(_Mark)


def to_event(wire: WireEvent) -> Event:
    """An event from its wire form. Personal data is left behind."""
    return Event(
        event_id=wire.message_id,
        event_name=wire.event,
        customer_id=id_of(wire.user_id, "userId"),
        anonymous_id=wire.anonymous_id,
        product_id=id_of(wire.properties.get("product_id"), "product_id"),
        order_id=id_of(wire.properties.get("order_id"), "order_id"),
        properties=without_personal_data({**wire.properties, "context": wire.context}),
        occurred_at=required_utc(wire.timestamp, "timestamp"),
        source_updated_at=required_utc(wire.received_at, "receivedAt"),
    )


class SegmentEvents(HttpSource):
    """The event export, by the time events were received."""

    entity = EVENTS
    row_decoder = msgspec.json.Decoder(WireEvent, float_hook=exact_float)

    async def pages(self, window: Window) -> AsyncGenerator[Page]:
        """All pages of the window, slices of time side by side.

        :raises SourceError: a page could not be had, or is missing its events.
        """
        async with self.client(window) as http:
            streams = [self._slice(http, part) for part in _slices(window.widened(back=self.entity.look_back))]
            async with aclosing(side_by_side(streams, ahead=self._limits.concurrency)) as pages:
                async for page in pages:
                    yield page

    async def _slice(self, http: HttpClient, part: Window) -> AsyncIterator[Page]:
        params = {"start": part.start.isoformat(), "end": part.end.isoformat(), "limit": str(PER_PAGE)}
        headers = {"Authorization": f"Bearer {self._settings.password}"}
        cursor: str | None = ""
        freshness = _Freshness(part)
        ask = partial(http.get, PATH, headers=headers, check=freshness.check)
        while cursor is not None:
            asked = {**params, "cursor": cursor} if cursor else params
            answer = await ask(params=asked)
            if not cursor or answer.headers.get(NEXT_CURSOR) is None:
                answer = await self._agreed(part, answer, partial(ask, params=asked))
            freshness.remember(answer.body)
            yield answer.page()
            cursor = answer.headers.get(NEXT_CURSOR)
            if cursor is not None and not _lines(answer.body):
                raise SourceUnreachable(
                    f"GET {PATH} answered no event at all and yet names a next page (slice {part}). Nothing was "
                    f"loaded. Clear this task; if it happens again, see what stands between us and `{self.name}`."
                )

    async def _agreed(self, part: Window, answer: Answer, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What was answered, when asked again, twice in a row.

        :raises SourceUnreachable: no two answers in a row agree.
        """
        for _ in range(ANSWERS_COMPARED):
            again = await ask()
            if _agree(answer, again):
                return answer
            log.info("events_asked_again source=%s slice=%s", self.name, part)
            answer = again
        raise SourceUnreachable(
            f"GET {PATH} was asked for the slice {part} {ANSWERS_COMPARED + 1} times, and no two answers in a row held "
            f"the same events. Nothing was loaded. Clear this task; if it happens again, see what stands between us "
            f"and `{self.name}`."
        )

    def split(self, body: bytes, window: Window) -> list[bytes]:
        """The raw lines of a page."""
        return _lines(body)

    def to_record(self, wire: WireEvent, page: Page) -> Event:
        """An event from its wire form."""
        return to_event(wire)


class _Freshness:
    """Tells a slice's next page from one that was there before, or that belongs to another slice."""

    def __init__(self, part: Window) -> None:
        self._part = part
        self._previous: frozenset[str] = frozenset()

    def check(self, body: bytes) -> None:
        """:raises ValueError: the body is no list of events, or holds none that is new, or one of another slice."""
        lines = _lines(body)
        if lines and not any(line.lstrip().startswith(b"{") for line in lines):
            raise ValueError("it is not newline-delimited JSON")
        news = [self._may_be_new(line) for line in lines]
        if lines and not any(news):
            raise ValueError("none of its rows is an event that had not come before")

    def remember(self, body: bytes) -> None:
        """Take this page for the one before the next."""
        marks = (_mark(line) for line in _lines(body))
        self._previous = frozenset(mark.message_id for mark in marks if mark is not None)

    def _may_be_new(self, line: bytes) -> bool:
        mark = _mark(line)
        if mark is None:  # a row to be rejected, unless it has nothing of an event
            return b'"receivedAt"' in line or b'"messageId"' in line
        if is_of_another_time(mark.received_at, start=self._part.start, end=self._part.end):
            raise ValueError(f"it holds an event received at {mark.received_at}, outside of what was asked for")
        return mark.message_id not in self._previous


def _agree(one: Answer, other: Answer) -> bool:
    """Whether two answers hold the same events, as far as their rows can be read, and name the same next page."""
    lines = [_lines(answer.body) for answer in (one, other)]
    ids = [{mark.message_id for line in each if (mark := _mark(line)) is not None} for each in lines]
    unreadable = [len(each) - len(own) for each, own in zip(lines, ids, strict=True)]
    return (
        one.headers.get(NEXT_CURSOR) == other.headers.get(NEXT_CURSOR)
        and len(lines[0]) == len(lines[1])
        and len(ids[0] - ids[1]) <= unreadable[1]
        and len(ids[1] - ids[0]) <= unreadable[0]
    )


def _mark(line: bytes) -> _Mark | None:
    try:
        mark: _Mark = decode(line, _MARK)
        mark.received_at = required_utc(mark.received_at, "receivedAt")
    except ValueError:
        return None
    return mark


def _lines(body: bytes) -> list[bytes]:
    return [line for line in body.split(b"\n") if line.strip()]


def _slices(window: Window) -> list[Window]:
    length = max((window.end - window.start) / SLICES, SHORTEST_SLICE)
    starts = [window.start]
    while starts[-1] + length < window.end:
        starts.append(starts[-1] + length)
    return [Window(start, end) for start, end in zip(starts, [*starts[1:], window.end], strict=True)]
