"""Alpha Vantage's daily series over the shop's dates: prices that are made up by symbol, and always the same."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.local.sandbox.shop import Shop

_SYMBOL = re.compile(r"[A-Z][A-Z0-9.\-]{0,9}")
_COMPACT_DAYS = 100
_PRICES_START = date(2005, 1, 3)
_PRICES_DAYS = 12_000


class AlphaVantage:
    """The query API with one function. Everything, errors included, comes with status 200."""

    def __init__(self, shop: Shop, *, key: str) -> None:
        self._shop = shop
        self._key = key

    def routes(self) -> list[Route]:
        """Every route served, for a Starlette application."""
        return [Route("/query", self._query, methods=["GET"])]

    async def _query(self, request: Request) -> Response:
        query = request.query_params
        function, symbol = query.get("function", ""), query.get("symbol", "").upper()
        if not hmac.compare_digest(query.get("apikey", "").encode(), self._key.encode()):
            return _error(
                "the parameter apikey is invalid or missing. Please claim your free API key on "
                "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
            )
        if function != "TIME_SERIES_DAILY":
            return _error(f"This API function ({function}) does not exist.")
        size = query.get("outputsize", "compact")
        if not _SYMBOL.fullmatch(symbol) or size not in ("compact", "full"):
            return _error(
                "Invalid API call. Please retry or visit the documentation "
                f"(https://www.alphavantage.co/documentation/) for {function}."
            )
        return JSONResponse(self._series(symbol, is_full=size == "full"))

    def _series(self, symbol: str, *, is_full: bool) -> dict[str, Any]:
        first = datetime.fromtimestamp(self._shop.start, UTC).date() - timedelta(40)
        today = datetime.fromtimestamp(self._shop.now, UTC).date()
        days = [(day, prices) for day, prices in _prices(symbol) if first <= day < today]
        if not is_full:
            days = days[-_COMPACT_DAYS:]
        return {
            "Meta Data": {
                "1. Information": "Daily Prices (open, high, low, close) and Volumes",
                "2. Symbol": symbol,
                "3. Last Refreshed": days[-1][0].isoformat() if days else "",
                "4. Output Size": "Full size" if is_full else "Compact",
                "5. Time Zone": "US/Eastern",
            },
            "Time Series (Daily)": {day.isoformat(): prices for day, prices in reversed(days)},
        }


def _error(message: str) -> Response:
    return JSONResponse({"Error Message": message})


@lru_cache(maxsize=64)
def _prices(symbol: str) -> list[tuple[date, dict[str, str]]]:
    """Every trading day's prices of a symbol: a random walk that belongs to the symbol, weekdays only."""
    seed = int.from_bytes(hashlib.blake2b(symbol.encode(), digest_size=8).digest(), "big")
    random = np.random.default_rng(seed)
    days = [_PRICES_START + timedelta(number) for number in range(_PRICES_DAYS)]
    trading = [day for day in days if day.weekday() < 5 and (day.month, day.day) not in {(1, 1), (12, 25)}]
    closes = np.clip(40 * np.exp(np.cumsum(random.normal(0.0003, 0.018, len(trading)))), 0.5, 100_000)
    opens = np.concatenate([[40.0], closes[:-1]]) * np.exp(random.normal(0, 0.004, len(trading)))
    highs = np.maximum(opens, closes) * (1 + np.abs(random.normal(0, 0.006, len(trading))))
    lows = np.minimum(opens, closes) * (1 - np.abs(random.normal(0, 0.006, len(trading))))
    volumes = random.integers(2_000_000, 90_000_000, len(trading))
    return [
        (
            day,
            {
                "1. open": f"{opens[number]:.4f}",
                "2. high": f"{highs[number]:.4f}",
                "3. low": f"{lows[number]:.4f}",
                "4. close": f"{closes[number]:.4f}",
                "5. volume": str(volumes[number]),
            },
        )
        for number, day in enumerate(trading)
    ]
