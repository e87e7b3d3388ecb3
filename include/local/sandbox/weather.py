"""Open-Meteo's archive over the shop's dates: weather that is made up by place and day, and always the same."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

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
