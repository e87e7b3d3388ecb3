"""Daily share prices from Alpha Vantage: numbers as strings under numbered keys, limits as HTTP 200."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any

import msgspec

from include.entities.stock_prices_daily import STOCK_PRICES_DAILY, PriceDay
from include.entities.window import Window
from include.sources.errors import ContractBroken, CredentialsRejected, SourceUnreachable
from include.sources.http import HttpClient
from include.sources.http_source import HttpSource
from include.sources.parsing import RowRejected, decode, money
from include.sources.settings import SourceSettings
from include.sources.source import Page

PATH = "/query"


class _About(msgspec.Struct):
    symbol: str | None = msgspec.field(name="2. Symbol", default=None)
    size: str | None = msgspec.field(name="4. Output Size", default=None)


class _Series(msgspec.Struct):
    about: _About = msgspec.field(name="Meta Data", default_factory=_About)
    days: dict[str, msgspec.Raw] | None = msgspec.field(name="Time Series (Daily)", default=None)
    error: str | None = msgspec.field(name="Error Message", default=None)
    note: str | None = msgspec.field(name="Note", default=None)
    information: str | None = msgspec.field(name="Information", default=None)


class WireDay(msgspec.Struct):
    """One trading day, with its date put beside its numbers."""

    day: date
    open: str = msgspec.field(name="1. open")
    high: str = msgspec.field(name="2. high")
    low: str = msgspec.field(name="3. low")
    close: str = msgspec.field(name="4. close")
    volume: str = msgspec.field(name="5. volume")


class AlphaVantage(HttpSource):
    """`TIME_SERIES_DAILY` for every symbol named in the connection's `symbols`, one after the other."""

    entity = STOCK_PRICES_DAILY
    _series = msgspec.json.Decoder(_Series)
    row_decoder = msgspec.json.Decoder(WireDay)

    async def pages(self, window: Window) -> AsyncGenerator[Page]:
        """One page per symbol: the last 100 days if they reach back far enough, else the whole series.

        :raises SourceUnreachable: the key's limit is used up.
        :raises CredentialsRejected: the service does not know our key.
        :raises ContractBroken: the service does not know a symbol, or the connection names none.
        """
        reach = window.widened(back=self.entity.look_back)
        symbols = self._settings.extra.get("symbols")
        if not symbols:
            raise ContractBroken(
                f"The connection `{self.name}` names no `symbols` in its extra, so there is nothing to ask for. "
                'Nothing was loaded. Write for example {"symbols": ["AMZN"], "currency": "USD"} there.'
            )
        async with self.client(window) as http:
            for symbol in symbols:
                page, days = await self._page(http, symbol, "compact", window)
                if not days or min(days) > reach.start.date().isoformat():
                    page, _ = await self._page(http, symbol, "full", window)
                yield page

    async def _page(self, http: HttpClient, symbol: str, size: str, window: Window) -> tuple[Page, dict[str, Any]]:
        params = {"function": "TIME_SERIES_DAILY", "symbol": symbol, "outputsize": size}
        key = {"apikey": self._settings.password or ""}
        check = partial(self._check, symbol=symbol, size=size)
        answer = await http.get(PATH, params=params, secret_params=key, check=check)
        series: _Series = answer.content
        if series.error is not None and "apikey" in series.error:
            raise CredentialsRejected(
                f"GET {PATH} answered that our API key is missing or not valid (window {window}). Nothing was loaded. "
                f"Correct the password of the connection `{self.name}`."
            )
        if series.error is not None:
            raise ContractBroken(
                f"Alpha Vantage does not know the symbol {symbol!r} (window {window}). Nothing was loaded. "
                f"Correct `symbols` in the extra of the connection `{self.name}`."
            )
        if limit := series.note or series.information:
            raise SourceUnreachable(
                f"Alpha Vantage refuses {symbol!r} for now (window {window}): {_without_key(limit, self._settings)} "
                "Nothing was loaded; clear this task when the limit is over."
            )
        if series.days is None:
            raise ContractBroken(
                f"Alpha Vantage's answer for {symbol!r} holds no daily series (window {window}). Nothing was loaded. "
                f"Check that the connection `{self.name}` names the right address."
            )
        context = {"symbol": symbol, "currency": self._settings.extra.get("currency", "USD")}
        return answer.page(context), series.days

    def _check(self, body: bytes, *, symbol: str, size: str) -> _Series:
        """The answer read.

        :raises ValueError: the body answers another question: a cache gives it.
        """
        series: _Series = self._series.decode(body)
        about = series.about
        if about.symbol is not None and about.symbol.upper() != symbol.upper():
            raise ValueError(f"it is of {about.symbol[:20]!r} and not of {symbol!r}")
        if about.size is not None and not about.size.lower().startswith(size):
            raise ValueError(f"it is of the size {about.size[:20]!r} and not of {size!r}")
        return series

    def split(self, body: bytes, window: Window) -> list[bytes]:
        """One JSON object per trading day of the window and the look-back before it.

        :raises ValueError: the body is no JSON object.
        """
        reach = window.widened(back=self.entity.look_back)
        days = decode(body, self._series).days or {}
        return [_dated(day, bytes(numbers)) for day, numbers in sorted(days.items()) if _may_begin_in(reach, day)]

    def to_record(self, wire: WireDay, page: Page) -> PriceDay:
        """A trading day of one symbol; the time of reading is its version."""
        return _to_price_day(wire, page)


def _dated(day: str, numbers: bytes) -> bytes:
    """A day's numbers with the day among them, untouched otherwise; what is no object stands under `numbers`."""
    told = b'"day":' + msgspec.json.encode(day)
    inside = numbers.strip()[1:-1].strip() if numbers.lstrip().startswith(b"{") else b'"numbers":' + numbers
    return b"{" + inside + (b"," if inside else b"") + told + b"}"


def _may_begin_in(window: Window, day: str) -> bool:
    """Whether the day's midnight lies in the window; what is no date is taken along, to be rejected by name."""
    try:
        return window.start <= datetime.combine(date.fromisoformat(day), time.min, UTC) < window.end
    except ValueError:
        return True


def _to_price_day(wire: WireDay, page: Page) -> PriceDay:
    if not wire.volume.isascii() or not wire.volume.isdigit() or len(wire.volume) > 18:
        raise RowRejected("volume", f"volume {wire.volume[:40]!r} is not a whole number")
    return PriceDay(
        symbol=page.context["symbol"],
        traded_on=wire.day,
        open_price=money(wire.open),
        high_price=money(wire.high),
        low_price=money(wire.low),
        close_price=money(wire.close),
        currency=page.context["currency"],
        volume=int(wire.volume),
        source_updated_at=page.received_at,
    )


def _without_key(text: str, settings: SourceSettings) -> str:
    return text.replace(settings.password, "…") if settings.password else text
