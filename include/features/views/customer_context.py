"""Where customers live: the country, its weather, and the market of those days."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureView

_DAYS_IN_WINDOWS = (7, 30)


def _in_windows(name: str, unit: str, description: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(f"{name}_{days}d", "number", unit, f"{description} in the {days} days before the snapshot")
        for days in _DAYS_IN_WINDOWS
    )


CUSTOMER_CONTEXT = FeatureView(
    name="customer_context",
    entity=CUSTOMER,
    features=(
        Feature(
            "country",
            "text",
            "country as the shop writes it, ISO 3166-1 alpha-2 with WooCommerce",
            "country of the last order placed that names one",
        ),
        Feature(
            "temperature_max_mean_celsius_7d",
            "number",
            "degrees Celsius",
            "mean of the daily maximum temperatures known of the 7 days before the snapshot, in the customer's country",
        ),
        Feature(
            "precipitation_sum_mm_7d",
            "number",
            "millimetres",
            "precipitation known of the 7 days before the snapshot, in the customer's country; null if of no day",
        ),
        Feature(
            "weather_known_day_count_7d",
            "integer",
            "days",
            "of the 7 days before the snapshot those whose maximum temperature is known; the archive is days late",
        ),
        *_in_windows(
            "market_return",
            "share, 0.01 is 1 %",
            "return from the first close of the share to the last, mean over symbols, not adjusted for splits,",
        ),
        *_in_windows(
            "market_volatility",
            "share, 0.01 is 1 %",
            "sample standard deviation of the share's returns from close to close, mean over symbols, not adjusted for "
            "splits,",
        ),
    ),
    reads=("shop.orders", "signals.weather_daily", "signals.stock_prices_daily"),
    description="Where customers live, what the weather was there and how the market went.",
    owner="growth",
    tags=("context",),
    # The country is that of the last order, however long ago it was; weather and prices are felt for 7 and 30 days.
    memory=None,
    ttl=timedelta(days=7),
    expectations=(
        FeatureExpectation(rows_at_least=1, rows_change_at_most=0.2),
        FeatureExpectation(feature="country", null_share_at_most=0),
        FeatureExpectation(feature="temperature_max_mean_celsius_7d", at_least=-90, at_most=60),
        FeatureExpectation(feature="precipitation_sum_mm_7d", at_least=0),
        FeatureExpectation(feature="weather_known_day_count_7d", at_least=0, at_most=7, null_share_at_most=0),
        FeatureExpectation(feature="market_volatility_30d", at_least=0),
    ),
)
