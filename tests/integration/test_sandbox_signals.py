"""The sandbox speaks Open-Meteo and Alpha Vantage, checked over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import requests

from tests.integration.sandbox_process import SandboxProcess, sandbox

TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def shop() -> Iterator[SandboxProcess]:
    with sandbox(customers=10) as process:
        yield process


def archive(shop: SandboxProcess, **changes) -> requests.Response:
    parameters = {
        "latitude": 51.507, "longitude": -0.1278, "start_date": "2024-06-01", "end_date": "2024-06-30",
        "daily": "temperature_2m_max,temperature_2m_min,precipitation_sum", "timezone": "GMT",
    } | changes  # fmt: skip
    return requests.get(f"{shop.base_url}/v1/archive", params=parameters, timeout=60)


def test_weather_comes_as_parallel_arrays_for_the_nearest_point_of_the_grid(shop):
    body = archive(shop).json()
    assert (body["latitude"], body["longitude"], body["timezone"]) == (51.5, -0.1, "GMT")
    assert body["daily_units"] == {
        "time": "iso8601",
        "temperature_2m_max": "°C",
        "temperature_2m_min": "°C",
        "precipitation_sum": "mm",
    }
    first = date(2024, 6, 1)
    assert body["daily"]["time"] == [(first + timedelta(number)).isoformat() for number in range(30)]
    assert {len(values) for values in body["daily"].values()} == {30}
    pairs = zip(body["daily"]["temperature_2m_max"], body["daily"]["temperature_2m_min"], strict=True)
    assert all(highest > lowest for highest, lowest in pairs)
    part = archive(shop, start_date="2024-06-10", end_date="2024-06-10").json()
    assert part["daily"]["precipitation_sum"] == body["daily"]["precipitation_sum"][9:10]


def test_weather_is_colder_in_winter_and_towards_the_pole(shop):
    def mean(**changes) -> float:
        values = archive(shop, daily="temperature_2m_mean", **changes).json()["daily"]["temperature_2m_mean"]
        return sum(values) / len(values)

    summer = mean()
    assert summer > mean(start_date="2024-01-01", end_date="2024-01-31") + 8
    assert summer > mean(latitude=68) + 5
    assert mean(latitude=-33) < mean(latitude=-33, start_date="2024-01-01", end_date="2024-01-31")


def test_the_weather_of_the_last_two_days_is_not_there_yet(shop):
    values = archive(shop, start_date="2025-12-28", end_date="2025-12-31").json()["daily"]["temperature_2m_max"]
    assert [value is None for value in values] == [False, False, True, True]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"latitude": 91}, "Latitude must be in range of -90 to 90°. Given: 91.0."),
        ({"start_date": "June"}, "Invalid date format. Make sure to use 'YYYY-MM-DD'"),
        ({"start_date": "1939-12-31"}, f"Parameter 'start_date' is out of allowed range from 1940-01-01 to {TODAY}"),
        ({"end_date": "2999-01-01"}, f"Parameter 'end_date' is out of allowed range from 1940-01-01 to {TODAY}"),
        ({"latitude": "1,2"}, "Parameter 'latitude' and 'longitude' must have the same amount of elements"),
        ({"end_date": "2024-05-01"}, "End-date must be larger or equals than start-date"),
        ({"timezone": "Mars"}, "Invalid timezone"),
    ],
)
def test_weather_refuses_with_a_reason(shop, changes, reason):
    answer = archive(shop, **changes)
    reason = reason.replace(str(TODAY), str(datetime.now(UTC).date()))
    assert (answer.status_code, answer.json()) == (400, {"error": True, "reason": reason})


def stocks(shop: SandboxProcess, **changes) -> dict:
    parameters = {"function": "TIME_SERIES_DAILY", "symbol": "AMZN", "apikey": shop.stock_key} | changes
    answer = requests.get(f"{shop.base_url}/query", params=parameters, timeout=60)
    assert answer.status_code == 200
    return answer.json()


def test_stock_prices_come_newest_first_on_weekdays_with_numbered_keys(shop):
    body = stocks(shop, outputsize="full")
    series = body["Time Series (Daily)"]
    days = list(series)
    assert days == sorted(days, reverse=True)
    assert {datetime.fromisoformat(day).replace(tzinfo=UTC).weekday() for day in days} == {0, 1, 2, 3, 4}
    assert days[0] == body["Meta Data"]["3. Last Refreshed"] == "2025-12-31" and days[-1] <= "2024-01-01"
    for prices in series.values():
        assert list(prices) == ["1. open", "2. high", "3. low", "4. close", "5. volume"]
        values = [Decimal(prices[name]) for name in ("3. low", "1. open", "4. close", "2. high")]
        assert 0 < values[0] <= min(values) and values[3] >= max(values)
    compact = stocks(shop)
    assert compact["Time Series (Daily)"] == {day: series[day] for day in days[:100]}
    assert compact["Meta Data"]["4. Output Size"] == "Compact"


def test_stock_errors_come_with_status_200(shop):
    assert "apikey is invalid or missing" in stocks(shop, apikey="")["Error Message"]
    assert stocks(shop, symbol="no such")["Error Message"] == (
        "Invalid API call. Please retry or visit the documentation "
        "(https://www.alphavantage.co/documentation/) for TIME_SERIES_DAILY."
    )
