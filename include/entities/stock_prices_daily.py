"""The price of one share on one trading day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import pyarrow.compute as pc

from include.entities.entity import Entity, Expectation, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceDay:
    """One symbol and trading day; prices in `currency`, volume in shares."""

    symbol: str
    traded_on: date
    open_price: Decimal
    high_price: Decimal
    low_price: Decimal
    close_price: Decimal
    currency: str
    volume: int
    source_updated_at: datetime


STOCK_PRICES_DAILY = Entity(
    name="stock_prices_daily",
    record=PriceDay,
    schema="signals",
    key=("symbol", "traded_on"),
    event_time="traded_on",
    is_observed=True,
    look_back=timedelta(days=7),
    rules=(
        Rule(
            "low_not_above_high", lambda t: pc.less_equal(t["low_price"], t["high_price"]), "low must not exceed high"
        ),
        Rule("price_positive", lambda t: pc.greater(t["low_price"], 0), "prices must be positive"),
        Rule("volume_not_negative", lambda t: pc.greater_equal(t["volume"], 0), "volume must not be negative"),
    ),
    expectations=(
        Expectation("ExpectColumnValuesToBeBetween", {"column": "close_price", "min_value": 0, "strict_min": True}),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "traded_on"}),
    ),
)
