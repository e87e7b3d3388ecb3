"""Daily weather from Open-Meteo's archive: one request per place, columns as parallel arrays."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

import msgspec

from include.entities.weather_daily import WEATHER_DAILY, WeatherDay
from include.entities.window import Window
from include.sources.errors import ContractBroken
from include.sources.http import HttpClient
from include.sources.http_source import HttpSource
from include.sources.other_answers import is_of_another_time
from include.sources.parsing import decode
from include.sources.side_by_side import in_order
from include.sources.source import Page

PATH = "/v1/archive"
UNITS = {
    "temperature_2m_max": "°C",
    "temperature_2m_min": "°C",
    "precipitation_sum": "mm",
    "wind_speed_10m_max": "km/h",
}


GRID_DEGREES = 1.0
"""The archive answers for the middle of a cell of its grid; what is farther away is another place's answer."""


class _Archive(msgspec.Struct):
    daily_units: dict[str, str]
    daily: dict[str, list[msgspec.Raw]]
    latitude: float | None = None
    longitude: float | None = None


_DAY = msgspec.json.Decoder(date)


class WireDay(msgspec.Struct):
    """One day, put together from the parallel arrays."""

    time: date
    temperature_2m_max: float | None = None
    temperature_2m_min: float | None = None
    precipitation_sum: float | None = None
    wind_speed_10m_max: float | None = None


class OpenMeteo(HttpSource):
    """The archive, for every place named in the connection's `locations`.

    A place may name the `country` whose weather it stands for; one that names none stands for all other countries.
    """

    entity = WEATHER_DAILY
    _archive = msgspec.json.Decoder(_Archive)
    row_decoder = msgspec.json.Decoder(WireDay)

    async def pages(self, window: Window) -> AsyncGenerator[Page]:
        """One page per place, for the days that begin in the window and the look-back before it.

        :raises SourceError: a place's page could not be had, or the connection names no places.
        """
        places = self._settings.extra.get("locations")
        if not places:
            raise ContractBroken(
                f"The connection `{self.name}` names no `locations` in its extra, so there is nothing to ask for. "
                'Nothing was loaded. Write for example {"locations": [{"name": "London", "latitude": 51.5, '
                '"longitude": -0.12}]} there.'
            )
        days = _days(window.widened(back=self.entity.look_back))
        async with self.client(window) as http:
            asks = (self._page(http, place, days) for place in places)
            async with aclosing(in_order(asks, ahead=self._limits.concurrency)) as pages:
                async for page in pages:
                    yield page

    async def _page(self, http: HttpClient, place: Mapping[str, Any], days: tuple[date, date]) -> Page:
        params = {
            "latitude": str(place["latitude"]),
            "longitude": str(place["longitude"]),
            "start_date": days[0].isoformat(),
            "end_date": days[1].isoformat(),
            "daily": ",".join(UNITS),
            "timezone": "GMT",
        }
        check = partial(self._check, place=place, days=days)
        answer = await http.get(PATH, params=params, check=check)
        context = {key: place[key] for key in ("name", "latitude", "longitude")}
        return answer.page(context | ({"country": place["country"]} if place.get("country") else {}))

    def _check(self, body: bytes, *, place: Mapping[str, Any], days: tuple[date, date]) -> None:
        """:raises ValueError: the body answers another question: a cache gives it."""
        archive = decode(body, self._archive)
        for name, found in (("latitude", archive.latitude), ("longitude", archive.longitude)):
            away = abs((found if found is not None else 0.0) - float(place[name]))
            if found is not None and min(away, 360 - away) > GRID_DEGREES:
                raise ValueError(f"it is of {name} {found} and not of {place['name']}")
        told = [bytes(day) for day in archive.daily.get("time", [])]
        if len(told) != (days[1] - days[0]).days + 1 or any(_is_elsewhere(day, days) for day in told):
            raise ValueError(f"it has {len(told)} days and is not of the days {days[0]} to {days[1]}")

    def split(self, body: bytes, window: Window) -> list[bytes]:
        """One JSON object per day.

        :raises ContractBroken: other units than asked for, or arrays of different lengths.
        :raises ValueError: the body is no JSON object of the archive's form.
        """
        archive = decode(body, self._archive)
        for name, unit in UNITS.items():
            if archive.daily_units.get(name) != unit:
                raise ContractBroken(
                    f"Open-Meteo gives {name} in {archive.daily_units.get(name)!r} and not in {unit!r}. "
                    "Nothing was loaded. Remove unit settings from the address of the connection."
                )
        lengths = {name: len(values) for name, values in archive.daily.items()}
        if len(set(lengths.values())) != 1 or "time" not in lengths:
            raise ContractBroken(f"Open-Meteo's arrays do not match: {lengths}. Nothing was loaded.")
        names = [msgspec.json.encode(name) + b":" for name in archive.daily]
        days = zip(*archive.daily.values(), strict=True)
        return [b"{" + b",".join(n + bytes(v) for n, v in zip(names, day, strict=True)) + b"}" for day in days]

    def to_record(self, wire: WireDay, page: Page) -> WeatherDay:
        """A day of one place; the time of reading is its version."""
        return _to_weather_day(wire, page)


def _is_elsewhere(raw: bytes, days: tuple[date, date]) -> bool:
    """Whether it is a day that was not asked for; what is no day will be rejected for that."""
    try:
        moment = datetime.combine(_DAY.decode(raw), time.min)
    except ValueError:
        return False
    start, last = (datetime.combine(day, time.min) for day in days)
    return is_of_another_time(moment, start=start, end=last + timedelta(days=1))


def _days(window: Window) -> tuple[date, date]:
    """First and last day whose midnight lies in the window."""
    first = window.start.date()
    if window.start.time() != window.start.min.time():
        first += timedelta(days=1)
    last = (window.end - timedelta(microseconds=1)).date()
    return min(first, last), last


def _to_weather_day(wire: WireDay, page: Page) -> WeatherDay:
    return WeatherDay(
        location=page.context["name"],
        weather_on=wire.time,
        country=page.context.get("country"),
        latitude=float(page.context["latitude"]),
        longitude=float(page.context["longitude"]),
        temperature_max_celsius=wire.temperature_2m_max,
        temperature_min_celsius=wire.temperature_2m_min,
        precipitation_mm=wire.precipitation_sum,
        wind_speed_max_kmh=wire.wind_speed_10m_max,
        source_updated_at=page.received_at,
    )
