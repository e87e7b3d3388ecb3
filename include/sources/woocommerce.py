"""WooCommerce REST v3: paging that stays exact while the shop changes underneath.

Orders, refunds and products are listed by modification time, oldest first. An order that is edited while
its list is being read leaves a window that lies in the past, and what stood behind it moves up a place,
perhaps across a page boundary that was already read. Nothing can enter such a window, so a list is whole
when every page told the same total and that many different ids were seen; otherwise it is read again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from aiohttp import encode_basic_auth

from include.entities.window import Window
from include.sources.errors import ContractBroken, SourceUnreachable
from include.sources.http import Answer, HttpClient
from include.sources.http_source import HttpSource
from include.sources.parsing import decode
from include.sources.source import Page

log = logging.getLogger(__name__)

API = "/wp-json/wc/v3"
PER_PAGE = 100
READS = 5


class _Identified(msgspec.Struct):
    id: int


_ID = msgspec.json.Decoder(_Identified)
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])


class _Currency(msgspec.Struct):
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


_CURRENCY = msgspec.json.Decoder(_Currency)


class WooCommerceSource(HttpSource):
    """What the four WooCommerce sources share: how to list one resource over a window.

    :cvar resource: path below the API's root.
    :cvar is_filtered: the resource can be asked by modification time (customers cannot).
    :cvar needs_currency: its amounts are in the shop's currency without saying so.
    """

    resource: str
    is_filtered = True
    needs_currency = False

    async def pages(self, window: Window) -> AsyncIterator[Page]:
        """All pages of the window; customers come whole, whatever the window.

        :raises SourceError: a page could not be had, or the list never held still.
        """
        async with HttpClient(self._settings, window=window, limits=self._limits) as http:
            context = {"currency": await self._currency(http)} if self.needs_currency else {}
            params = self._params(window)
            for _ in range(READS):
                seen = _Seen()
                async for number, answer in self._read_list(http, params):
                    seen.add(answer)
                    request = f"{API}/{self.resource}?{urlencode({**params, 'page': number})}"
                    yield Page(body=answer.body, request=request, received_at=answer.received_at, context=context)
                if seen.is_whole:
                    return
                log.warning("list_moved source=%s resource=%s window=%s %s", self.name, self.resource, window, seen)
        raise SourceUnreachable(
            f"GET {API}/{self.resource} never gave as many different rows as it counts itself, in {READS} readings "
            f"(window {window}; {seen}). Nothing was loaded. Clear this task when the shop is quieter; if it happens "
            "again, see that no cache stands before the shop and that the API key may read every row."
        )

    def split(self, body: bytes, window: Window) -> list[bytes]:
        """The raw objects of a page.

        :raises ValueError: the body is not a JSON array.
        """
        return [bytes(raw) for raw in decode(body, _ROWS)]

    def _params(self, window: Window) -> dict[str, str]:
        if not self.is_filtered:
            return {"per_page": str(PER_PAGE), "orderby": "id", "order": "asc"}
        reach = window.widened(back=self.entity.look_back)
        # The filter is strict on both sides and knows whole seconds only.
        just_before = reach.start - timedelta(seconds=1)
        end = reach.end + timedelta(microseconds=999_999)
        return {
            "per_page": str(PER_PAGE),
            "orderby": "modified",
            "order": "asc",
            "dates_are_gmt": "true",
            "modified_after": f"{just_before:%Y-%m-%dT%H:%M:%S}",
            "modified_before": f"{end:%Y-%m-%dT%H:%M:%S}",
        }

    async def _read_list(self, http: HttpClient, params: Mapping[str, str]) -> AsyncIterator[tuple[int, Answer]]:
        first = await self._page(http, params, 1)
        yield 1, first
        last = _total(first, "X-WP-TotalPages")
        ahead = 2 * self._limits.concurrency
        under_way: dict[int, asyncio.Task[Answer]] = {}
        try:
            for number in range(2, last + 1):
                under_way[number] = asyncio.create_task(self._page(http, params, number))
                if len(under_way) >= ahead:
                    oldest = min(under_way)
                    yield oldest, await under_way.pop(oldest)
            for number in sorted(under_way):
                yield number, await under_way.pop(number)
        finally:
            for task in under_way.values():
                task.cancel()
            await asyncio.gather(*under_way.values(), return_exceptions=True)

    async def _page(self, http: HttpClient, params: Mapping[str, str], number: int) -> Answer:
        return await http.get(
            f"{API}/{self.resource}",
            params={**params, "page": str(number)},
            headers=self._authorization(),
            check=_ROWS.decode,
        )

    async def _currency(self, http: HttpClient) -> str:
        headers, check = self._authorization(), _CURRENCY.decode
        answer = await http.get(f"{API}/data/currencies/current", params={}, headers=headers, check=check)
        return _CURRENCY.decode(answer.body).code

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": encode_basic_auth(self._settings.login or "", self._settings.password or "")}


class _Seen:
    """The different rows and the totals met while a list was read."""

    def __init__(self) -> None:
        self._rows: set[Any] = set()
        self._totals: set[int] = set()

    def add(self, answer: Answer) -> None:
        """Take in one page. A row without a readable id is known by its bytes and its number among equal ones."""
        unreadable: Counter[bytes] = Counter()
        for raw in map(bytes, _ROWS.decode(answer.body)):
            try:
                self._rows.add(_ID.decode(raw).id)
            except ValueError:
                unreadable[raw] += 1
                self._rows.add((raw, unreadable[raw]))
        self._totals.add(_total(answer, "X-WP-Total"))

    @property
    def is_whole(self) -> bool:
        """Every page told one total, and at least that many different rows came."""
        return len(self._totals) == 1 and len(self._rows) >= max(self._totals)

    def __str__(self) -> str:
        return f"totals={sorted(self._totals)} different_rows={len(self._rows)}"


def _total(answer: Answer, header: str) -> int:
    try:
        return int(answer.headers[header])
    except (KeyError, ValueError) as error:
        raise ContractBroken(
            f"The answer has no readable {header} header, so nobody knows how many pages there are. Nothing was "
            "loaded. Check that the address is a WooCommerce REST v3 API and that no proxy strips its headers."
        ) from error
