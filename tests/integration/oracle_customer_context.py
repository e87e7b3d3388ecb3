"""Where customers live, its weather and the market computed the plain way, and small worlds to compute it from."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from psycopg import Connection

from tests.integration.view_rows import PROVENANCE

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Placed:
    """One order, paid or not."""

    order_id: int
    placed_at: datetime
    country: str | None
    customer_id: int | None = 1


@dataclass(frozen=True)
class Weather:
    """One day of one place."""

    location: str
    day: date
    country: str | None = None
    warmest: float | None = 10.0
    rain: float | None = 0.0


@dataclass(frozen=True)
class Close:
    """One trading day of one share."""

    symbol: str
    day: date
    price: Decimal


Fact = Placed | Weather | Close


def happened_at(fact: Fact) -> datetime:
    """Of a day the midnight that it ended at."""
    if isinstance(fact, Placed):
        return fact.placed_at
    return datetime.combine(fact.day, time(), UTC) + DAY


def load(conn: Connection, facts: Iterable[Fact]) -> None:
    with conn.cursor() as cursor:
        for fact in facts:
            if isinstance(fact, Placed):
                cursor.execute(
                    f"""INSERT INTO shop.orders VALUES (%s, 'n', %s, 'pending', 'GBP', 1, 0, 0, 0, %s, %s, NULL, NULL,
                    NULL, {PROVENANCE})""",
                    (fact.order_id, fact.customer_id, fact.country, fact.placed_at),
                )
            elif isinstance(fact, Weather):
                cursor.execute(
                    f"""INSERT INTO signals.weather_daily (location, weather_on, country, latitude, longitude,
                    temperature_max_celsius, precipitation_mm, source, source_updated_at, content_digest, first_seen_at,
                    ingested_at) VALUES (%s, %s, %s, 0, 0, %s, %s, {PROVENANCE})""",
                    (fact.location, fact.day, fact.country, fact.warmest, fact.rain),
                )
            else:
                cursor.execute(
                    f"INSERT INTO signals.stock_prices_daily VALUES (%s, %s, 1, 1, 1, %s, 'USD', 0, {PROVENANCE})",
                    (fact.symbol, fact.day, fact.price),
                )


def plain_context(facts: Sequence[Fact], customer: int, snapshot: datetime) -> dict[str, Any] | None:
    """Every feature of one customer at one snapshot, or None if no order of theirs named a country before it."""
    known = [fact for fact in facts if happened_at(fact) < snapshot]
    orders = [f for f in known if isinstance(f, Placed) and f.customer_id == customer and f.country is not None]
    if not orders:
        return None
    country = max(orders, key=lambda order: (order.placed_at, order.order_id)).country
    return {
        "country": country,
        **plain_weather([fact for fact in known if isinstance(fact, Weather)], country, snapshot),
        **plain_market([fact for fact in known if isinstance(fact, Close)], snapshot),
    }


def plain_weather(known: Sequence[Weather], country: str | None, snapshot: datetime) -> dict[str, Any]:
    recent = [each for each in known if happened_at(each) >= snapshot - 7 * DAY]
    warmest: list[Fraction] = []
    rain: list[Fraction] = []
    for day in {each.day for each in recent}:
        of_day = [each for each in recent if each.day == day]
        own = [each for each in of_day if each.country == country]
        places = own or [each for each in of_day if each.country is None]
        warmest += mean_of([exact(each.warmest) for each in places if each.warmest is not None])
        rain += mean_of([exact(each.rain) for each in places if each.rain is not None])
    return {
        "temperature_max_mean_celsius_7d": next(map(float, mean_of(warmest)), None),
        "precipitation_sum_mm_7d": float(sum(rain)) if rain else None,
        "weather_known_day_count_7d": len(warmest),
    }


def plain_market(known: Sequence[Close], snapshot: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for width in (7, 30):
        returns: list[Fraction] = []
        volatilities: list[Fraction] = []
        for symbol in {each.symbol for each in known}:
            closes = [each for each in known if each.symbol == symbol and happened_at(each) >= snapshot - width * DAY]
            prices = [Fraction(each.price) for each in sorted(closes, key=lambda each: each.day)]
            steps = [later / earlier - 1 for earlier, later in pairwise(prices)]
            if steps:
                returns.append(prices[-1] / prices[0] - 1)
            if len(steps) > 1:
                mean = sum(steps) / len(steps)
                variance = sum((step - mean) ** 2 for step in steps) / (len(steps) - 1)
                volatilities.append(Fraction(math.sqrt(variance)))
        row[f"market_return_{width}d"] = next(map(float, mean_of(returns)), None)
        row[f"market_volatility_{width}d"] = next(map(float, mean_of(volatilities)), None)
    return row


def exact(value: float) -> Fraction:
    """The number as it is written."""
    return Fraction(repr(value))


def mean_of(values: Sequence[Fraction]) -> list[Fraction]:
    """One mean, or none of none."""
    return [sum(values, Fraction()) / len(values)] if values else []


COUNTRIES = ("GB", "DE", "FR", "NL")
PLACES = (("London", "GB"), ("Leeds", "GB"), ("York", "GB"), ("Berlin", "DE"), ("Zurich", None), ("Basel", None))


def random_world(rng: random.Random, *, start: datetime, days: int, customers: int = 5) -> list[Fact]:
    """Orders of some days, the weather of six places with gaps, and two shares with days off."""
    facts: list[Fact] = []
    for number in range(days):
        day = start.date() + DAY * number
        for location, country in PLACES:
            if rng.random() < 0.85:
                warmest = None if rng.random() < 0.15 else rng.randrange(-99, 400) / 10
                rain = None if rng.random() < 0.3 else rng.choice([0.0, 0.1, rng.randrange(300) / 10])
                facts.append(Weather(location, day, country, warmest, rain))
        facts += [
            Close(symbol, day, Decimal(rng.randrange(1_000_000, 1_100_000)) / 10_000)
            for symbol in ("AMZN", "EBAY")
            if day.isoweekday() < 6 and rng.random() < (0.9 if symbol == "AMZN" else 0.4)
        ]
    instants = [start + MICROSECOND * rng.randrange(days * 86_400_000_000) for _ in range(40)]
    instants += [start + DAY * rng.randrange(days) for _ in range(15)]
    instants += [rng.choice(instants) for _ in range(15)]
    numbers = rng.sample(range(1, 500), len(instants))
    facts += [
        Placed(number, instant, rng.choice((*COUNTRIES, None)), rng.choice((None, *range(1, customers + 1))))
        for number, instant in zip(numbers, instants, strict=True)
    ]
    return facts
