"""What goes along with sales, against SciPy and statsmodels on series with gaps, ties, several places and symbols."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from psycopg import Connection
from psycopg.rows import dict_row
from scipy import stats
from statsmodels.stats.multitest import multipletests

from tests.integration.golden import make_mart, put_rows

FIRST = date(2024, 2, 1)
DAYS = 100
UNTIL = datetime(2024, 2, 1, tzinfo=UTC) + timedelta(days=DAYS)
SHOP = ("net_amount", "order_count")
WEATHER = ("temperature_max_celsius", "precipitation_mm", "wind_speed_max_kmh")
MARKET = ("stock_return_share", "stock_volume")


def days() -> list[date]:
    return [FIRST + timedelta(days=number) for number in range(DAYS)]


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def sales(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {"order_id": 100 * number + order, "currency": currency, "paid_at": noon(day),
         "total_amount": Decimal(rng.randrange(1, 40))}
        for number, day in enumerate(days())
        for order, currency in enumerate(rng.choices(("EUR", "GBP"), k=rng.randrange(4)))
    ]  # fmt: skip


def weather(rng: random.Random) -> list[dict[str, Any]]:
    """Of two places; some days and some values are missing."""
    return [
        {"location": place, "weather_on": day}
        | {name: None if rng.random() < 0.1 else float(rng.randrange(12)) for name in WEATHER}
        for day in days()
        for place in ("here", "there")
        if rng.random() < 0.9
    ]


def prices(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "symbol": symbol,
            "traded_on": day,
            "close_price": Decimal(rng.randrange(90, 110)),
            "volume": rng.randrange(50),
        }
        for symbol in ("AAA", "BBB")
        for day in days()
        if day.weekday() < 5 and rng.random() < 0.95
    ]


def series_of(
    orders: list[dict[str, Any]], weather_days: list[dict[str, Any]], price_days: list[dict[str, Any]], currency: str
) -> dict[str, pd.Series]:
    own = pd.DataFrame([order for order in orders if order["currency"] == currency])
    by_day = own.assign(day=[at.date() for at in own["paid_at"]]).groupby("day")["total_amount"]
    calendar = [day for day in days() if day >= min(at.date() for at in own["paid_at"])]
    series = {
        "net_amount": by_day.sum().astype(float).reindex(calendar, fill_value=0.0),
        "order_count": by_day.size().reindex(calendar, fill_value=0).astype(float),
    }
    return series | weather_and_market(weather_days, price_days)


def weather_and_market(weather_days: list[dict[str, Any]], price_days: list[dict[str, Any]]) -> dict[str, pd.Series]:
    """Means over places and symbols by day."""
    series = {name: pd.DataFrame(weather_days).groupby("weather_on")[name].mean().dropna() for name in WEATHER}
    stocks = pd.DataFrame(price_days).sort_values("traded_on")
    returns = stocks["close_price"].astype(float).groupby(stocks["symbol"]).pct_change()
    series["stock_return_share"] = returns.groupby(stocks["traded_on"]).mean().dropna()
    series["stock_volume"] = stocks.groupby("traded_on")["volume"].mean().astype(float)
    return series


def plain_correlations(series: dict[str, pd.Series]) -> pd.DataFrame:
    """Of sales with all else; of series without sales, of the market with the weather."""
    rows = []
    has_sales = series.keys() >= set(SHOP)
    for left in SHOP if has_sales else MARKET:
        for right in series.keys() - {left} if has_sales else WEATHER:
            for lag in range(15):
                moved = series[right].copy()
                moved.index = [day + timedelta(days=lag) for day in moved.index]
                both = pd.concat([series[left], moved], axis=1, join="inner").to_numpy()
                pearson, spearman = stats.pearsonr(*both.T), stats.spearmanr(*both.T)
                rows.append((left, right, lag, len(both), *pearson, *spearman))
    names = ["left_measure", "right_measure", "lag_days", "observation_count"]
    table = pd.DataFrame(rows, columns=[*names, "pearson", "pearson_p_value", "spearman", "spearman_p_value"])
    for name in ("pearson", "spearman"):
        table[f"{name}_q_value"] = multipletests(table[f"{name}_p_value"], method="fdr_bh")[1]
    return table.set_index(names[:3]).sort_index()


def correlations(conn: Connection, currency: str) -> pd.DataFrame:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM analytics.correlations WHERE currency = %s", (currency,)).fetchall()
    keys = ["left_measure", "right_measure", "lag_days"]
    return pd.DataFrame(rows).drop(columns="currency").set_index(keys).sort_index()


def test_of_series_with_gaps_and_ties_it_says_what_scipy_and_statsmodels_say(empty_shop):
    print("seed 1")
    rng = random.Random(1)
    orders, weather_days, price_days = sales(rng), weather(rng), prices(rng)
    put_rows(empty_shop, "orders", orders)
    put_rows(empty_shop, "weather_daily", weather_days)
    put_rows(empty_shop, "stock_prices_daily", price_days)
    make_mart(empty_shop, "correlations", until=UNTIL)
    for currency in ("EUR", "GBP"):
        found = correlations(empty_shop, currency)
        expected = plain_correlations(series_of(orders, weather_days, price_days, currency))
        assert list(found.index) == list(expected.index)
        assert len(found) == 2 * 6 * 15
        assert_same(found, expected)


def test_the_market_is_held_against_the_weather_before_it_once_and_without_sales(empty_shop):
    print("seed 4")
    rng = random.Random(4)
    weather_days, price_days = weather(rng), prices(rng)
    put_rows(empty_shop, "weather_daily", weather_days)
    put_rows(empty_shop, "stock_prices_daily", price_days)
    make_mart(empty_shop, "correlations", until=UNTIL)
    found, expected = correlations(empty_shop, ""), plain_correlations(weather_and_market(weather_days, price_days))
    assert list(found.index) == list(expected.index)
    assert len(found) == 2 * 3 * 15
    assert_same(found, expected)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    for column in expected.columns:
        left, right = found[column].astype(float), expected[column].astype(float)
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12, err_msg=column)


@pytest.mark.parametrize("pair_count", [3, 4, 5, 12, 101, 1_000, 3_653, 100_000])
def test_the_p_value_is_scipys_also_far_out(empty_shop, pair_count):
    strengths = [1e-9, 1e-4, 0.003, 0.05, 0.0999, 0.3, 0.5, 0.77, 0.95, 0.999, 1 - 1e-9]
    compared = 0
    for correlation in [*strengths, *(-strength for strength in strengths)]:
        t = abs(correlation) * np.sqrt((pair_count - 2) / ((1 - abs(correlation)) * (1 + abs(correlation))))
        expected = 2 * stats.t.sf(t, pair_count - 2)
        (found,) = empty_shop.execute(
            "SELECT analytics.correlation_p_value(%s, %s)", (correlation, pair_count)
        ).fetchone()
        if expected > 1e-290:
            assert found == pytest.approx(expected, rel=1e-9), correlation
            compared += 1
        else:
            assert found < 1e-289
    assert compared >= 6


@pytest.mark.parametrize(
    ("correlation", "pair_count", "expected"),
    [(1.0, 3, 0.0), (-1.0, 50, 0.0), (0.0, 50, 1.0), (0.5, 2, None), (None, 50, None)],
)
def test_the_p_value_at_the_ends_of_its_range(empty_shop, correlation, pair_count, expected):
    row = empty_shop.execute(
        "SELECT analytics.correlation_p_value(%s::float8, %s)", (correlation, pair_count)
    ).fetchone()
    assert row == (expected,)


def test_what_never_changes_has_no_coefficient_and_no_share_in_the_tests(empty_shop):
    rng = random.Random(2)
    put_rows(empty_shop, "orders", sales(rng))
    put_rows(empty_shop, "weather_daily", [
        {"location": "here", "weather_on": day, "temperature_max_celsius": 20.1, "precipitation_mm": rng.random()}
        for day in days()
    ])  # fmt: skip
    make_mart(empty_shop, "correlations", until=UNTIL)
    found = correlations(empty_shop, "EUR").reset_index()
    constant = found[found["right_measure"] == "temperature_max_celsius"]
    assert len(constant) == 2 * 15
    assert (
        constant[["pearson", "spearman", "pearson_p_value", "pearson_q_value", "spearman_q_value"]]
        .isna()
        .all(axis=None)
    )
    told = found[found["pearson_p_value"].notna()]
    assert len(told) == len(found) - len(constant)
    expected = multipletests(told["pearson_p_value"].astype(float), method="fdr_bh")[1]
    np.testing.assert_allclose(told["pearson_q_value"].astype(float), expected, rtol=1e-9)


def test_a_measure_that_foretells_sales_is_found_at_its_lag(empty_shop):
    rng = random.Random(3)
    rain = {day: rng.random() * 10 for day in days()}
    put_rows(empty_shop, "weather_daily", [
        {"location": "here", "weather_on": day, "precipitation_mm": value} for day, value in rain.items()
    ])  # fmt: skip
    put_rows(empty_shop, "orders", [
        {"order_id": number, "currency": "EUR", "paid_at": noon(day),
         "total_amount": round(Decimal(50 + 3 * rain.get(day - timedelta(days=4), 0) + rng.random()), 2)}
        for number, day in enumerate(days())
    ])  # fmt: skip
    make_mart(empty_shop, "correlations", until=UNTIL)
    found = correlations(empty_shop, "EUR").loc["net_amount", "precipitation_mm"]
    assert found["pearson"].astype(float).idxmax() == 4
    assert found.loc[4, "pearson_q_value"] < 1e-12
    assert found.loc[4, "observation_count"] == DAYS - 4
