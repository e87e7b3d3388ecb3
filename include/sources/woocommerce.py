"""WooCommerce REST v3: what its lists have in common, and how a window is asked for."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Annotated

import msgspec
from aiohttp import encode_basic_auth

from include.entities.window import Window
from include.sources.errors import SourceUnreachable
from include.sources.http import Answer, HttpClient
from include.sources.http_source import HttpSource
from include.sources.parsing import decode
from include.sources.source import Page
from include.sources.woocommerce_list import PER_PAGE, ListReader, Rows, read_page

log = logging.getLogger(__name__)

API = "/wp-json/wc/v3"
READS = 5

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

    async def pages(self, window: Window) -> AsyncGenerator[Page]:
        """All pages of the window; customers come whole, whatever the window.

        :raises SourceError: a page could not be had, or the list never held still.
        """
        async with self.client(window) as http:
            context = {"currency": await self._currency(http)} if self.needs_currency else {}
            ask = partial(self._page, http, self._params(window))
            for _ in range(READS):
                reader = ListReader(
                    ask,
                    is_sorted_by_modification=self.is_filtered,
                    ahead=2 * self._limits.concurrency,
                    name=f"source={self.name} resource={self.resource} window={window}",
                )
                async with aclosing(reader.answers()) as answers:
                    async for answer in answers:
                        yield answer.page(context)
                if reader.is_whole:
                    return
                log.warning(
                    "list_not_whole source=%s resource=%s window=%s %s", self.name, self.resource, window, reader
                )
        raise SourceUnreachable(
            f"GET {API}/{self.resource} never gave as many different rows as it counts itself, in {READS} readings "
            f"(window {window}; {reader}). Nothing was loaded. Clear this task when the shop is quieter; if it happens "
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

    async def _page(self, http: HttpClient, params: Mapping[str, str], offset: int) -> Answer:
        check = partial(read_page, after=params.get("modified_after"), before=params.get("modified_before"))
        return await self._list(http, {**params, "offset": str(offset)}, check=check)

    async def _list(self, http: HttpClient, params: Mapping[str, str], *, check: Callable[[bytes], Rows]) -> Answer:
        return await http.get(f"{API}/{self.resource}", params=params, headers=self._authorization(), check=check)

    async def _currency(self, http: HttpClient) -> str:
        headers, check = self._authorization(), _CURRENCY.decode
        answer = await http.get(f"{API}/data/currencies/current", params={}, headers=headers, check=check)
        return _CURRENCY.decode(answer.body).code

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": encode_basic_auth(self._settings.login or "", self._settings.password or "")}
