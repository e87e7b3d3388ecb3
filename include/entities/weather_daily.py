"""The weather of one day at one place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow.compute as pc

from include.entities.entity import Entity, Expectation, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherDay:
    """One place and day. Null means that the archive does not have the value yet.

    :param country: whose weather it is, as orders write their country (WooCommerce: ISO 3166-1 alpha-2); null: of
        everybody whose country has no place of its own.
    :param latitude: of the place asked for, degrees north; the archive answers for its grid point.
    """

    location: str
    weather_on: date
    country: str | None
    latitude: float
    longitude: float
    temperature_max_celsius: float | None
    temperature_min_celsius: float | None
    precipitation_mm: float | None
    wind_speed_max_kmh: float | None
    source_updated_at: datetime


WEATHER_DAILY = Entity(
    name="weather_daily",
    record=WeatherDay,
    schema="signals",
    key=("location", "weather_on"),
    event_time="weather_on",
    is_observed=True,
    look_back=timedelta(days=7),
    rules=(
        Rule(
            "temperature_order",
            lambda t: pc.greater_equal(t["temperature_max_celsius"], t["temperature_min_celsius"]),
            "temperature_2m_max must not be below temperature_2m_min",
        ),
        Rule(
            "precipitation_not_negative",
            lambda t: pc.greater_equal(t["precipitation_mm"], 0),
            "precipitation_sum must not be negative",
        ),
    ),
    expectations=(
        Expectation(
            "ExpectColumnValuesToBeBetween", {"column": "temperature_max_celsius", "min_value": -90, "max_value": 60}
        ),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "precipitation_mm", "mostly": 0.5}, "warning"),
    ),
)
