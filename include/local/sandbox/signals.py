"""Open-Meteo's archive and Alpha Vantage's daily series over the shop's dates, made up but always the same."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.local.sandbox.shop import Shop

_FIRST_DAY = date(1940, 1, 1)
_LATE_DAYS = 2
DAILY_UNITS = {
    "temperature_2m_max": "°C",
    "temperature_2m_min": "°C",
    "temperature_2m_mean": "°C",
    "precipitation_sum": "mm",
    "rain_sum": "mm",
    "wind_speed_10m_max": "km/h",
    "wind_gusts_10m_max": "km/h",
    "shortwave_radiation_sum": "MJ/m²",
}
_SYMBOL = re.compile(r"[A-Z][A-Z0-9.\-]{0,9}")
_COMPACT_DAYS = 100
_PRICES_START = date(2005, 1, 3)
_PRICES_DAYS = 12_000


class _Refused(Exception):
    """A request that Open-Meteo refuses, with its reason."""


class OpenMeteo:
    """The archive API. The two days before the shop's clock, and all later ones, are not there yet: null."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def routes(self) -> list[Route]:
        """Every route served, for a Starlette application."""
        return [Route("/v1/archive", self._archive, methods=["GET"])]

    async def _archive(self, request: Request) -> Response:
        try:
            return JSONResponse(self._answer(dict(request.query_params.multi_items()), request))
        except _Refused as error:
            return JSONResponse({"reason": str(error), "error": True}, status_code=400)

    def _answer(self, query: dict[str, str], request: Request) -> Any:
        today = datetime.fromtimestamp(self._shop.now, UTC).date()
        latitudes = _numbers(query, "latitude", most=90)
        longitudes = _numbers(query, "longitude", most=180)
        if len(latitudes) != len(longitudes):
            raise _Refused("Parameter 'latitude' and 'longitude' must have the same amount of elements")
        latest = max(today, datetime.now(UTC).date())
        start, end = (_day(query, name, latest=latest) for name in ("start_date", "end_date"))
        if end < start:
            raise _Refused("End-date must be larger or equals than start-date")
        if query.get("timezone", "GMT") not in ("GMT", "UTC", "auto"):
            raise _Refused("Invalid timezone")
        variables = [name for part in request.query_params.getlist("daily") for name in part.split(",") if name]
        for name in variables:
            if name not in DAILY_UNITS:
                raise _Refused(
                    "Data corrupted at path 'daily'. Cannot initialize ForecastVariableDaily "
                    f"from invalid String value {name}."
                )
        places = [
            _place(
                latitude, longitude, start=start, end=end, variables=variables, last=today - timedelta(_LATE_DAYS + 1)
            )
            for latitude, longitude in zip(latitudes, longitudes, strict=True)
        ]
        return places[0] if len(places) == 1 else places


def _numbers(query: dict[str, str], name: str, *, most: int) -> list[float]:
    if name not in query:
        raise _Refused("Parameter 'latitude' and 'longitude' must not be empty")
    try:
        values = [float(part) for part in query[name].split(",")]
    except ValueError:
        raise _Refused(f"Data corrupted at path '{name}'. Cannot convert '{query[name]}' to Float.") from None
    for value in values:
        if not abs(value) <= most:
            raise _Refused(f"{name.capitalize()} must be in range of -{most} to {most}°. Given: {value}.")
    return values


def _day(query: dict[str, str], name: str, *, latest: date) -> date:
    if name not in query:
        raise _Refused("Both 'start_date' and 'end_date' must be set in the url")
    try:
        day = datetime.strptime(query[name], "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise _Refused("Invalid date format. Make sure to use 'YYYY-MM-DD'") from None
    if not _FIRST_DAY <= day <= latest:
        raise _Refused(f"Parameter '{name}' is out of allowed range from {_FIRST_DAY} to {latest}")
    return day


def _place(
    latitude: float, longitude: float, *, start: date, end: date, variables: list[str], last: date
) -> dict[str, Any]:
    latitude, longitude = round(latitude, 1), round(longitude, 1)
    days = [start + timedelta(number) for number in range((end - start).days + 1)]
    weather = [_weather(latitude, longitude, day) if day <= last else {} for day in days]
    answer: dict[str, Any] = {
        "latitude": latitude,
        "longitude": longitude,
        "generationtime_ms": 0.25,
        "utc_offset_seconds": 0,
        "timezone": "GMT",
        "timezone_abbreviation": "GMT",
        "elevation": 38.0,
    }
    if variables:
        answer["daily_units"] = {"time": "iso8601"} | {name: DAILY_UNITS[name] for name in variables}
        answer["daily"] = {"time": [day.isoformat() for day in days]} | {
            name: [values.get(name) for values in weather] for name in variables
        }
    return answer


def _chance(latitude: float, longitude: float, day: date, what: str) -> float:
    """A number in [0, 1) that belongs to this place, day and thing."""
    digest = hashlib.blake2b(f"{latitude}|{longitude}|{day}|{what}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _weather(latitude: float, longitude: float, day: date) -> dict[str, float]:
    """Colder towards the poles, warm in the hemisphere's summer, with spells of some days."""
    height = abs(latitude)
    summer = math.cos((day.timetuple().tm_yday - 200) / 365.25 * 2 * math.pi) * (1 if latitude >= 0 else -1)
    spell = sum(_chance(latitude, longitude, day - timedelta(back), "spell") for back in range(4)) / 4 - 0.5
    mean = 27 - 0.0065 * height**2 + 0.2 * height * summer + 16 * spell
    spread = 3 + 4 * _chance(latitude, longitude, day, "spread")
    wet = _chance(latitude, longitude, day, "wet")
    rain = 0.0 if wet < 0.6 else -4.0 * math.log(1 - (wet - 0.6) / 0.4 * 0.999)
    wind = 8 + 30 * _chance(latitude, longitude, day, "wind") ** 2
    return {
        "temperature_2m_max": round(mean + spread, 1),
        "temperature_2m_min": round(mean - spread, 1),
        "temperature_2m_mean": round(mean, 1),
        "precipitation_sum": round(rain, 2),
        "rain_sum": round(rain if mean > 0 else 0.0, 2),
        "wind_speed_10m_max": round(wind, 1),
        "wind_gusts_10m_max": round(wind * 1.7, 1),
        "shortwave_radiation_sum": round(max(0.5, 14 + 9 * summer - (4 if rain else 0)), 2),
    }


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
