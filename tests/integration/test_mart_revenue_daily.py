"""What `revenue_daily` says of any shop is what pandas and statsmodels say of its orders and refunds."""

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

from tests.integration.golden import make_mart, put_rows
from tests.integration.oracle_revenue_daily import plain_revenue

START = datetime(2023, 1, 15, 22, 40, tzinfo=UTC)
Facts = list[dict[str, Any]]


def trade(seed: int, *, days: int, orders_a_day: float, currencies: tuple[str, ...] = ("EUR",)) -> tuple[Facts, Facts]:
    """Orders and refunds over some days; some refunds are larger than all that was sold."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    orders: Facts = []
    refunds: Facts = []
    for _ in range(int(days * orders_a_day)):
        at = START + timedelta(seconds=rng.randrange(days * 86_400))
        amount = Decimal(rng.randrange(100, 30_000)) / 100 * (2 if at.weekday() > 4 else 1)
        orders.append(
            {"order_id": len(orders), "customer_id": rng.choice([None, *range(9)]), "currency": rng.choice(currencies),
             "total_amount": amount, "paid_at": None if rng.random() < 0.05 else at}
        )  # fmt: skip
        if rng.random() < 0.15:
            refunds.append(
                {"refund_id": len(refunds), "refund_amount": amount * rng.choice((1, 1, 20)),
                 "currency": orders[-1]["currency"], "refunded_at": at + timedelta(days=rng.randrange(9))}
            )  # fmt: skip
    return orders, refunds


def every_day(days: int) -> Facts:
    """An order for each day, so that none is without."""
    return [
        {"order_id": 1_000_000 + number, "customer_id": 1, "currency": "EUR", "total_amount": Decimal(5),
         "paid_at": START + timedelta(days=number, hours=6)}
        for number in range(days)
    ]  # fmt: skip


def revenue(conn: Connection) -> pd.DataFrame:
    rows = conn.cursor(row_factory=dict_row).execute("SELECT * FROM analytics.revenue_daily").fetchall()
    frame = pd.DataFrame(rows).assign(sold_on=lambda rows: pd.to_datetime(rows["sold_on"]))
    return frame.set_index(["currency", "sold_on"]).sort_index()


def made(conn: Connection, orders: Facts, refunds: Facts, *, zone: str = "UTC", until: datetime | None) -> pd.DataFrame:
    put_rows(conn, "orders", orders)
    put_rows(conn, "refunds", refunds)
    make_mart(conn, "revenue_daily", time_zone=zone, until=until)
    return revenue(conn)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.index) == list(expected.sort_index().index)
    assert set(found.columns) == set(expected.columns)
    for column in found.columns:
        values = [frame.sort_index()[column].astype(float).to_numpy() for frame in (found, expected)]
        np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-9, err_msg=column)


def test_of_a_shop_that_sells_every_day_it_says_what_pandas_and_statsmodels_say(empty_shop):
    orders, refunds = trade(1, days=800, orders_a_day=1.5)
    orders += every_day(800)
    until = START + timedelta(days=802)
    found = made(empty_shop, orders, refunds, until=until)
    assert (found["gross_amount"].iloc[:799] > 0).all()
    expected = plain_revenue(orders, refunds, zone="UTC", until=until)
    assert_same(found, expected)
    assert found.notna().any().all()
    assert set(found["is_outlier"].dropna()) == {True, False}


@pytest.mark.parametrize(("seed", "zone"), [(2, "Europe/Berlin"), (3, "America/New_York")])
def test_of_a_shop_with_gaps_and_two_currencies_it_says_what_pandas_says(empty_shop, seed, zone):
    orders, refunds = trade(seed, days=450, orders_a_day=0.5, currencies=("EUR", "GBP"))
    until = START + timedelta(days=452)
    found = made(empty_shop, orders, refunds, zone=zone, until=until)
    assert (found["order_count"] == 0).sum() > 50
    assert (found["net_amount"] < 0).any()
    assert_same(found, plain_revenue(orders, refunds, zone=zone, until=until))


@pytest.mark.parametrize("days", [1, 6, 7, 13, 14, 28, 29, 30])
def test_what_is_not_known_yet_is_null(empty_shop, days):
    found = made(empty_shop, every_day(days), [], until=START.replace(hour=0) + timedelta(days=days + 1)).iloc[-1]
    known = {
        "net_day_before": 2, "net_week_before": 8, "net_average_7_days": 7, "net_average_28_days": 28,
        "net_month_before_same_weekday": 29, "weekly_seasonal_index": 13,
    }  # fmt: skip
    assert {name: not pd.isna(found[name]) for name in known} == {name: days >= least for name, least in known.items()}
    assert pd.isna(found["z_score"])  # All days are alike.


def test_a_day_that_is_not_loaded_to_its_end_is_counted_but_not_judged(empty_shop):
    found = made(empty_shop, every_day(40), [], until=START + timedelta(days=39, hours=7))
    assert list(found["is_complete"]) == [True] * 39 + [False]
    last = found.iloc[-1]
    assert (last["net_amount"], last["cumulative_amount"], last["net_day_before"]) == (5, 200, 5)
    judged = ["net_average_7_days", "growth_on_day_share", "growth_on_week_share", "trend_amount", "is_outlier"]
    assert last[judged].isna().all()


def test_days_without_sales_follow_to_the_end_of_what_was_loaded(empty_shop):
    found = made(empty_shop, every_day(3), [], until=datetime(2023, 1, 25, tzinfo=UTC))
    assert [day.date() for _, day in found.index] == [date(2023, 1, 16) + timedelta(days=n) for n in range(9)]
    assert list(found["net_amount"]) == [5] * 3 + [0] * 6


def test_if_nobody_said_how_far_was_loaded_the_last_fact_ends_it(empty_shop):
    found = made(empty_shop, every_day(3), [], until=None)
    assert (len(found), found["is_complete"].all()) == (3, True)


def test_a_load_that_ends_in_the_future_knows_nothing_of_it(empty_shop):
    found = made(empty_shop, every_day(3), [], until=datetime(2400, 1, 1, tzinfo=UTC))
    assert found.index[-1][1].date() < datetime.now(UTC).date()


def test_a_sale_far_out_of_the_usual_is_an_outlier_and_does_not_hide_itself(empty_shop):
    orders = every_day(60)
    for number, order in enumerate(orders):
        order["total_amount"] = Decimal(100 + number % 7)
    orders[50]["total_amount"] = Decimal(1000)
    found = made(empty_shop, orders, [], until=START + timedelta(days=60))
    assert list(found.index[found["is_outlier"].fillna(False).astype(bool)].get_level_values("sold_on").date) == [
        date(2023, 1, 16) + timedelta(days=50)
    ]
