"""What `customer_lifetime` and `repeat_rates` say of any shop is what pandas says of its orders and refunds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import median
from typing import Any

import pandas as pd
import pytest

from tests.integration.customer_trade import START, facts_of, made, money, order, refund, rows_of, trade
from tests.integration.golden import make_mart, put_rows

UNTIL = START + timedelta(days=420)
EXPECTED = (
    "expected_value_amount", "expected_value_low_amount", "expected_value_high_amount", "expected_purchase_day_count",
    "alive_probability", "expected_at",
)  # fmt: skip


def plain_lifetimes(facts: pd.DataFrame) -> dict[tuple[int, str], dict[str, Any]]:
    """By customer and currency."""
    found = {}
    for key, own in facts.groupby(["customer_id", "currency"]):
        bought = own[own["is_purchase"]]
        if bought.empty:
            continue
        days = sorted(set(bought["day"]))
        gaps = [(later - earlier).days for earlier, later in pairwise(days)]
        paid = bought["amount"].sum()
        found[key] = {
            "cohort_month": days[0].replace(day=1), "first_order_on": days[0], "last_order_on": days[-1],
            "order_count": len(bought), "purchase_day_count": len(days), "is_repeat": len(days) > 1,
            "repeat_share": len(gaps) / len(days), "gross_amount": money(paid),
            "refund_amount": money(-own.loc[~own["is_purchase"], "amount"].sum()),
            "net_amount": money(own["amount"].sum()),
            "mean_gap_days": sum(gaps) / len(gaps) if gaps else None,
            "median_gap_days": median(gaps) if gaps else None,
            "shortest_gap_days": min(gaps, default=None), "longest_gap_days": max(gaps, default=None),
        }  # fmt: skip
    return found


def lifetimes(rows: list[dict[str, Any]]) -> dict[tuple[int, str], dict[str, Any]]:
    return {(row["customer_id"], row["currency"]): row for row in rows}


def put_value(conn, customer: int, *, snapshot: str, fit: str = "fit", value: float | None = 50.0) -> None:
    conn.execute(
        """
        INSERT INTO ml.lifetime_models VALUES (
            %(fit)s, '2024-01-01Z', 365, 0.1, '{1,1,1,1}', array_fill(0::float8, ARRAY[16]), 0, '{1,1,1}',
            array_fill(0::float8, ARRAY[9]), 0, 1, 1, 1, NULL, '{}', 'd', '{}', %(fitted_at)s
        ) ON CONFLICT DO NOTHING
        """,
        {"fit": fit, "fitted_at": f"2024-01-{1 + len(fit):02}Z"},
    )
    conn.execute(
        "INSERT INTO ml.lifetime_values VALUES (%s, %s, %s, 0.75, 2.5, 20, %s, %s - 1, %s + 1, '2024-01-01Z')",
        (customer, snapshot, fit, value, value, value),
    )


@pytest.mark.parametrize(("seed", "zone"), [(1, "UTC"), (2, "Europe/Berlin"), (3, "America/New_York")])
def test_every_customer_is_as_computed_from_their_facts(empty_shop, seed, zone):
    orders, refunds = trade(seed, days=400, orders=300, customers=40, currencies=("EUR", "GBP"))
    found = lifetimes(made(empty_shop, "customer_lifetime", orders, refunds, zone=zone, until=UNTIL))
    expected = plain_lifetimes(facts_of(orders, refunds, zone=zone))
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert {name: found[key][name] for name in row} == row, key
        average = row["gross_amount"] / row["order_count"]
        assert abs(found[key]["average_order_amount"] - average) <= Decimal("0.00005")
        assert [found[key][name] for name in EXPECTED] == [None] * len(EXPECTED)
    assert {row["is_repeat"] for row in expected.values()} == {True, False}
    assert any(row["net_amount"] < 0 for row in expected.values())


def test_repeat_rates_of_a_cohort_are_those_of_its_customers(empty_shop):
    orders, refunds = trade(4, days=200, orders=150, customers=60, currencies=("EUR", "GBP"))
    rows = made(empty_shop, "repeat_rates", orders, refunds, until=UNTIL)
    assert_rates_are_of(plain_lifetimes(facts_of(orders, refunds)), rows)
    assert any(row["mean_gap_days"] is None for row in rows)


def assert_rates_are_of(lifetimes: dict[tuple[int, str], dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    customers = pd.DataFrame(lifetimes).T.rename_axis(["customer_id", "currency"])
    groups = dict(iter(customers.reset_index().groupby(["cohort_month", "currency"])))
    assert {(row["cohort_month"], row["currency"]) for row in rows} == groups.keys()
    for row in rows:
        own = groups[row["cohort_month"], row["currency"]]
        gap_count = int(own["purchase_day_count"].sum()) - len(own)
        gap_days = sum(
            (last - first).days for first, last in zip(own["first_order_on"], own["last_order_on"], strict=True)
        )
        assert row["customer_count"] == len(own)
        assert row["repeat_count"] == own["is_repeat"].sum()
        assert row["repeat_share"] == own["is_repeat"].sum() / len(own)
        assert row["order_count"] == own["order_count"].sum()
        assert row["mean_gap_days"] == (gap_days / gap_count if gap_count else None)
        assert row["net_amount"] == own["net_amount"].sum()
        assert abs(row["net_amount_per_customer"] - own["net_amount"].sum() / len(own)) <= Decimal("0.00005")
        assert row["expected_count"] == 0


def test_gaps_are_days_of_the_calendar_over_a_leap_day_and_a_change_of_the_clock(empty_shop):
    """In Berlin the clock goes forward on 31 March 2024; between these noons lie less than 24 hours."""
    orders = [order(1, 1, "2024-02-28T12:00"), order(2, 1, "2024-02-28T18:00"), order(3, 1, "2024-03-01T12:00")]
    orders += [order(4, 1, "2024-03-30T11:00"), order(5, 1, "2024-03-31T10:00")]
    (row,) = made(empty_shop, "customer_lifetime", orders, [], zone="Europe/Berlin", until=UNTIL)
    assert (row["order_count"], row["purchase_day_count"], row["repeat_share"]) == (5, 4, 0.75)
    assert (row["shortest_gap_days"], row["median_gap_days"], row["longest_gap_days"]) == (1, 2, 29)
    assert row["mean_gap_days"] == pytest.approx(32 / 3)


def test_expectations_are_those_of_the_newest_snapshot_by_the_fit_made_last(empty_shop):
    put_rows(empty_shop, "orders", [order(1, 1, "2024-01-10"), order(2, 2, "2024-01-11"), order(3, 3, "2024-01-11")])
    make_mart(empty_shop, "repeat_rates", until=UNTIL)
    put_value(empty_shop, 1, snapshot="2024-02-01Z", fit="fit", value=10)
    put_value(empty_shop, 3, snapshot="2024-02-01Z", fit="fit", value=10)
    put_value(empty_shop, 1, snapshot="2024-02-08Z", fit="fit", value=20)
    put_value(empty_shop, 2, snapshot="2024-02-08Z", fit="a later fit", value=30)
    put_value(empty_shop, 1, snapshot="2024-02-08Z", fit="a later fit", value=40)
    make_mart(empty_shop, "repeat_rates", until=UNTIL)
    found = lifetimes(rows_of(empty_shop, "customer_lifetime"))
    snapshot = datetime(2024, 2, 8, tzinfo=UTC)
    assert [found[1, "EUR"][name] for name in EXPECTED] == [40, 39, 41, 2.5, 0.75, snapshot]
    assert found[2, "EUR"]["expected_value_amount"] == 30
    assert [found[3, "EUR"][name] for name in EXPECTED] == [None] * len(EXPECTED)
    assert [row["expected_count"] for row in rows_of(empty_shop, "repeat_rates")] == [2]


def test_whose_currency_the_expectation_is_in_nobody_knows_of_a_customer_with_two(empty_shop):
    put_rows(empty_shop, "orders", [order(1, 1, "2024-01-10"), order(2, 1, "2024-01-11", currency="GBP")])
    put_value(empty_shop, 1, snapshot="2024-02-01Z")
    make_mart(empty_shop, "customer_lifetime", until=UNTIL)
    assert [row["expected_value_amount"] for row in rows_of(empty_shop, "customer_lifetime")] == [None, None]


def test_one_day_of_orders_makes_only_those_customers_anew_who_placed_them(empty_shop):
    orders = [order(number, number, "2024-01-10") for number in range(1, 101)]
    made(empty_shop, "customer_lifetime", orders, [], until=UNTIL)
    put_rows(empty_shop, "orders", [order(201, 7, "2024-01-12"), order(202, 500, "2024-01-12")])
    make_mart(empty_shop, "customer_lifetime", until=UNTIL)
    last = empty_shop.execute(
        """
        SELECT DISTINCT ON (entity) entity, received, inserted, updated, details ->> 'customers' FROM ops.receipts
        WHERE step = 'refresh' AND entity IN ('customer_histories', 'customer_lifetime')
        ORDER BY entity, receipt_id DESC
        """
    ).fetchall()
    assert last == [("customer_histories", 2, 1, 1, "2"), ("customer_lifetime", 2, 1, 1, "2")]


def test_a_refund_alone_makes_those_anew_whose_it_is(empty_shop):
    orders = [order(number, number, "2024-01-10") for number in range(1, 21)]
    made(empty_shop, "customer_lifetime", orders, [], until=UNTIL)
    returned = [refund(1, None, "2024-01-12", 4, 7), refund(2, 8, "2024-01-12", 25, 999_999)]
    found = lifetimes(made(empty_shop, "customer_lifetime", [], returned, until=UNTIL))
    assert {key: row["net_amount"] for (key, _), row in found.items() if row["net_amount"] != 10} == {7: 6, 8: -15}


@pytest.mark.parametrize("seed", [5, 6])
def test_what_changes_owner_is_followed(empty_shop, seed):
    """Orders become a guest's or somebody's, and their refunds with them; orders arrive after their refunds."""
    orders, refunds = trade(seed, days=60, orders=80)
    put_rows(empty_shop, "orders", orders[:40])
    put_rows(empty_shop, "refunds", refunds)
    make_mart(empty_shop, "customer_lifetime", until=UNTIL)
    put_rows(empty_shop, "orders", orders[40:])
    empty_shop.execute("UPDATE shop.orders SET customer_id = NULL WHERE order_id % 5 = 0")
    empty_shop.execute("UPDATE shop.orders SET customer_id = 3 WHERE order_id % 7 = 0")
    empty_shop.execute("DELETE FROM shop.refunds WHERE refund_id % 3 = 0")
    make_mart(empty_shop, "customer_lifetime", until=UNTIL)
    changed = [
        each | ({"customer_id": 3} if number % 7 == 0 else {"customer_id": None} if number % 5 == 0 else {})
        for number, each in enumerate(orders, 1)
    ]
    expected = plain_lifetimes(facts_of(changed, [each for each in refunds if each["refund_id"] % 3]))
    found = lifetimes(rows_of(empty_shop, "customer_lifetime"))
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert {name: found[key][name] for name in row} == row, key


def test_a_customer_with_refunds_alone_has_no_lifetime(empty_shop):
    assert made(empty_shop, "customer_lifetime", [], [refund(1, 7, "2024-01-05", 25)], until=UNTIL) == []


def test_a_customer_of_one_day_is_known_and_has_no_gap(empty_shop):
    (row,) = made(empty_shop, "customer_lifetime", [order(1, 1, "2024-02-29")], [refund(1, None, "2024-03-01", 25, 1)])
    assert (row["first_order_on"], row["last_order_on"]) == (date(2024, 2, 29), date(2024, 2, 29))
    assert (row["is_repeat"], row["repeat_share"], row["mean_gap_days"], row["net_amount"]) == (False, 0, None, -15)
