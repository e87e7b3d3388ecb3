"""A WooCommerce list, read exactly while the shop changes underneath.

WooCommerce gives a list in slices by position, and positions move: an order that is edited leaves a window that lies
in the past, and all that stood behind it moves up. So each page begins with the row that ended the one before. A page
is a stretch of a sorted list; if two that follow one another share a row, nothing that kept its place between them was
passed over. If they share none, the list moved: reading goes on from further up, and pages share more rows from then
on. What moved to the end of the list meanwhile, or into a later window, is read there.

That holds for a shop that answers truly. Against a cache before it, and rows that our key may not see, there must also
be at least as many different rows as the shop counts itself.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from array import array
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

import msgspec
import numpy as np

from include.sources.errors import ContractBroken
from include.sources.http import Answer
from include.sources.other_answers import is_of_another_time
from include.sources.parsing import decode
from include.sources.side_by_side import in_order

log = logging.getLogger(__name__)

PER_PAGE = 100
SHARED, MOST_SHARED = 1, 50
"""Rows that two pages share in a list that holds still, and in one that moves a lot."""
SETBACKS = 20
"""How often reading may go back before the list is given up, to be read anew."""

ANSWERS_COMPARED = 6
"""How often a list of one page is asked for again before it is taken as it came last."""

_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


class _Row(msgspec.Struct):
    id: int
    date_modified_gmt: str | None = None


_ROW = msgspec.json.Decoder(_Row)
_PAGE = msgspec.json.Decoder(list[_Row])

Rows = list[tuple[int, str | None]]
"""Id and time of modification (UTC, as WooCommerce writes it) of each row of a page."""


def read_page(body: bytes, *, after: str | None = None, before: str | None = None) -> Rows:
    """The rows of a page. One without a readable id is known by its bytes and its number among equal ones.

    What cannot be the answer to our question, but to another one, is refused: a cache gives it. So is a row that
    changed while the shop put the page together; in either case the page is worth asking for again.

    :param after: `after` and `before` are the bounds of modification that were asked for, both exclusive.
    :raises ValueError: the body is no list of at most as many rows as were asked for, all modified within the bounds.
    """
    try:
        rows = [(_64_bits(row.id), row.date_modified_gmt) for row in decode(body, _PAGE)]
    except ValueError:
        rows = _rows_one_by_one(body)
    if len(rows) > PER_PAGE:
        raise ValueError(f"it holds {len(rows)} rows, where at most {PER_PAGE} were asked for")
    if after is not None and before is not None:
        for _, modified in rows:
            if modified is not None and not after < modified < before and _is_elsewhere(modified, after, before):
                raise ValueError(f"it holds a row modified at {modified}, outside of what was asked for")
    return rows


def _is_elsewhere(modified: str, after: str, before: str) -> bool:
    try:
        moment, first, end = (datetime.fromisoformat(text) for text in (modified, after, before))
        return is_of_another_time(moment, start=first + timedelta(seconds=1), end=end)
    except (ValueError, TypeError):  # not a time as WooCommerce writes it: the row will be rejected for it
        return False


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The rows of one page: where it was asked for, who they are, and how many the shop counts in all.

    Pages are answered in any order: `came` says which answer this was.
    """

    came: int
    offset: int
    ids: array[int]
    places: frozenset[tuple[int, str | None]]
    total: int

    @property
    def is_last(self) -> bool:
        return self.offset + PER_PAGE >= self.total

    def follows(self, before: _Stretch) -> bool:
        """Nothing lies between the two: they share a row, or this one is the beginning of the list."""
        return self.offset == 0 or not before.places.isdisjoint(self.places)


class ListReader:
    """Reads one list once, from its beginning to its end.

    :param ask: from a position to the page that begins there, its content read by `read_page`.
    :param is_sorted_by_modification: a row that is edited changes its place; else the list is sorted by id.
    :param ahead: pages under way or waiting.
    :param name: of the list, for the log.
    """

    def __init__(
        self,
        ask: Callable[[int], Awaitable[Answer]],
        *,
        is_sorted_by_modification: bool,
        ahead: int,
        name: str,
    ) -> None:
        self._ask = ask
        self._is_sorted_by_modification = is_sorted_by_modification
        self._ahead = ahead
        self._name = name
        self._ids = array("q")
        self._came = itertools.count(1)
        self._counted = (0, 0)
        self._has_reached_end = False

    @property
    def is_whole(self) -> bool:
        """The end was reached without a gap, and as many different rows came as the shop counts."""
        return self._has_reached_end and self._different_rows() >= self._total

    @property
    def _total(self) -> int:
        """What the shop counted last: rows that have left since an earlier answer need not have come."""
        return self._counted[1]

    def __str__(self) -> str:
        return f"total={self._total} different_rows={self._different_rows()} reached_end={self._has_reached_end}"

    async def answers(self) -> AsyncGenerator[Answer]:
        """Pages in order; of those that share rows the later one says how many of them came unchanged.

        What was read before the list moved may come again.

        :raises SourceError: a page could not be had.
        """
        before: _Stretch | None = None
        rows_before: list[msgspec.Raw] = []
        setbacks, position, shared, back = 0, 0, SHARED, SHARED
        while not self._has_reached_end and setbacks <= SETBACKS:
            end = position + 1 if before is None else max(before.total - 1, position + 1)
            asks = (self._read(offset) for offset in range(position, end, PER_PAGE - shared))
            async with aclosing(in_order(asks, ahead=self._ahead)) as pages:
                async for answer, page in pages:
                    if before is not None and not page.follows(before):
                        setbacks, back = setbacks + 1, max(10, 2 * back)
                        shared = min(back, MOST_SHARED)
                        position = max(0, before.offset + PER_PAGE - back)
                        log.info("list_moved %s at=%d again_from=%d", self._name, page.offset, position)
                        break
                    rows = decode(answer.body, _ROWS)
                    yield replace(answer, repeated_rows=_repeated(rows, rows_before))
                    rows_before = rows
                    self._take(page)
                    before, position, back = page, page.offset + PER_PAGE - shared, shared
                    if self._has_reached_end:
                        break

    async def _read(self, offset: int) -> tuple[Answer, _Stretch]:
        answer = await self._ask(offset)
        if offset == 0 and self._is_sorted_by_modification and _total(answer) <= PER_PAGE:
            answer = await self._only_page(answer)
        rows: Rows = answer.content
        places = frozenset(rows if self._is_sorted_by_modification else ((key, None) for key, _ in rows))
        return answer, _Stretch(next(self._came), offset, array("q", (key for key, _ in rows)), places, _total(answer))

    async def _only_page(self, answer: Answer) -> Answer:
        """A list of one page as two answers in a row have it: one to a question within ours looks like its own.

        Of longer lists, pages that do not meet, or fewer rows than are counted, tell of such an answer. While rows are
        edited no two may agree; the last one is taken then.
        """
        for _ in range(ANSWERS_COMPARED):
            again = await self._ask(0)
            if _agree(answer, again):
                break
            log.info("list_asked_again %s", self._name)
            answer = again
        return answer

    def _take(self, page: _Stretch) -> None:
        self._ids.extend(page.ids)
        self._counted = max(self._counted, (page.came, page.total))
        self._has_reached_end = page.is_last

    def _different_rows(self) -> int:
        return int(np.unique(np.frombuffer(self._ids, dtype=np.int64)).size) if self._ids else 0


def _agree(one: Answer, other: Answer) -> bool:
    """Whether two answers hold the same rows, but for those that cannot be read, of a list of the same length."""
    rows = [Counter(answer.content) for answer in (one, other)]
    unreadable = [sum(1 for _, modified in answer.content if modified is None) for answer in (one, other)]
    return (
        _total(one) == _total(other)
        and len(one.content) == len(other.content)
        and (rows[0] - rows[1]).total() <= max(unreadable)
    )


def _repeated(rows: list[msgspec.Raw], before: list[msgspec.Raw]) -> int:
    """How many of the first rows of a page stood on the page before it, byte for byte."""
    known = set(map(bytes, before))
    return sum(1 for _ in takewhile(lambda raw: bytes(raw) in known, rows))


def _rows_one_by_one(body: bytes) -> Rows:
    rows: Rows = []
    unreadable: Counter[bytes] = Counter()
    for raw in map(bytes, decode(body, _ROWS)):
        try:
            row = _ROW.decode(raw)
            rows.append((_64_bits(row.id), row.date_modified_gmt))
        except ValueError:
            unreadable[raw] += 1
            digest = hashlib.blake2b(raw + b"#%d" % unreadable[raw], digest_size=8).digest()
            rows.append((int.from_bytes(digest, "big", signed=True), None))
    return rows


def _64_bits(key: int) -> int:
    if not -(2**63) <= key < 2**63:
        raise ValueError(f"the id {key} has more than 64 bits")
    return key


def _total(answer: Answer) -> int:
    try:
        return int(answer.headers["X-WP-Total"])
    except (KeyError, ValueError):
        raise ContractBroken(
            f"GET {answer.request} has no readable X-WP-Total header, so nobody knows how long the list is. Nothing "
            "was loaded. Check that the address is a WooCommerce REST v3 API and that no proxy strips its headers."
        ) from None
