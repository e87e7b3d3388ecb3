"""What `cohort_retention` says of any shop is what pandas says of its orders and refunds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from tests.integration.customer_trade import (
    START,
    end_of,
    facts_of,
    is_over,
    made,
    money,
    months_between,
    next_month,
    order,
    refund,
    rows_of,
    trade,
)  # fmt: skip
from tests.integration.golden import make_mart, put_rows

UNTIL = START + timedelta(days=450)


def plain_retention(facts: pd.DataFrame, *, zone: str, until: datetime | None) -> list[dict[str, Any]]:
    """Cell by cell: who of the cohort bought in the month, and what it had paid by the end of it."""
    purchases = facts[facts["is_purchase"]]
    firsts = purchases.groupby(["customer_id", "currency"])["month"].min()
    facts = facts.join(firsts.rename("cohort"), on=["customer_id", "currency"]).dropna(subset="cohort")
    last_fact = facts["month"].max()
    last = last_fact if until is None else (until - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date()
    months = months_between(facts["cohort"].min(), max(last_fact, last.replace(day=1)))
    cells = []
    for (cohort, currency), own in facts.groupby(["cohort", "currency"]):
        size = own["customer_id"].nunique()
        month = cohort
        for since in range(len(months)):
            cell = {"cohort_month": cohort, "currency": currency, "months_since": since, "month_on": month}
            is_seen = month <= last_fact if until is None else is_over(month, zone, until)
            of_month = own[(own["month"] == month) & own["is_purchase"]]
            by_then = own.loc[own["month"] <= month, "amount"].sum()
            before = own.loc[own["month"] < month, "amount"].sum() if since else 0
            active = of_month["customer_id"].nunique()
            known = {
                "active_count": active, "retention_share": active / size, "order_count": len(of_month),
                "net_amount": money(by_then - before), "cumulative_amount": money(by_then),
                "cumulative_amount_per_customer": round(money(by_then) / size, 4),
            }  # fmt: skip
            cells.append(cell | {"customer_count": size} | {name: known[name] if is_seen else None for name in known})
            month = next_month(month)
    return cells


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["cohort_month"], row["currency"], row["months_since"]))


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    for here, there in zip(in_order(found), in_order(expected), strict=True):
        share = there["cumulative_amount_per_customer"]
        assert here | {"cumulative_amount_per_customer": share} == there
        # The last digit of a half may be rounded up or to even.
        assert share is None or abs(here["cumulative_amount_per_customer"] - share) <= money(1)


@pytest.mark.parametrize(
    ("seed", "zone", "until"),
    [
        (1, "UTC", UNTIL),
        (2, "Europe/Berlin", UNTIL),
        (3, "America/New_York", None),
        (4, "Pacific/Kiritimati", START + timedelta(days=300)),
    ],
)
def test_every_cell_equals_the_one_counted_by_hand(empty_shop, seed, zone, until):
    orders, refunds = trade(seed, days=300, orders=260, currencies=("EUR", "GBP"))
    found = made(empty_shop, "cohort_retention", orders, refunds, zone=zone, until=until)
    assert_same(found, plain_retention(facts_of(orders, refunds, zone=zone), zone=zone, until=until))
    assert any(row["active_count"] is None for row in found)
    assert any(row["active_count"] == 0 for row in found)
    assert any(row["net_amount"] is not None and row["net_amount"] < 0 for row in found)


@pytest.mark.parametrize("seed", [5, 6])
def test_refreshed_day_by_day_it_equals_one_made_at_once(empty_shop, seed):
    """Among the later facts are first purchases before those known so far, which move a customer to another cohort."""
    orders, refunds = trade(seed, days=120, orders=120, customers=15)
    for part in range(4):
        put_rows(empty_shop, "orders", orders[part::4])
        put_rows(empty_shop, "refunds", refunds[part::4])
        make_mart(empty_shop, "cohort_retention", until=START + timedelta(days=30 * (part + 1), hours=-part))
    until = START + timedelta(days=120, hours=-3)
    assert_same(
        rows_of(empty_shop, "cohort_retention"), plain_retention(facts_of(orders, refunds), zone="UTC", until=until)
    )


def test_a_month_counts_when_its_last_instant_is_loaded_and_not_before(empty_shop):
    put_rows(empty_shop, "orders", [order(1, 1, "2024-01-10"), order(2, 1, "2024-02-29T23:59:59")])
    seen = []
    for until in ("2024-01-31T23:59:59", "2024-02-01", "2024-02-29T23:59:59", "2024-03-01", "2024-04-01"):
        make_mart(empty_shop, "cohort_retention", until=datetime.fromisoformat(until).replace(tzinfo=UTC))
        seen.append([row["active_count"] for row in in_order(rows_of(empty_shop, "cohort_retention"))])
    assert seen == [[None, None], [1, None], [1, None], [1, 1], [1, 1, 0]]


def test_an_hour_before_midnight_in_summer_is_of_the_shops_month(empty_shop):
    """Berlin is one hour ahead of UTC on 29 February, two on 31 March, one on 31 October."""
    orders = [order(1, 1, "2024-02-29T22:59:59"), order(2, 2, "2024-02-29T23:00"), order(3, 1, "2024-03-31T21:59:59")]
    orders += [order(4, 2, "2024-03-31T22:00"), order(5, 1, "2024-10-31T22:59:59"), order(6, 2, "2024-10-31T23:00")]
    until = end_of(date(2024, 11, 1), "Europe/Berlin")
    found = in_order(made(empty_shop, "cohort_retention", orders, [], zone="Europe/Berlin", until=until))
    active = {row["month_on"].month: row["active_count"] for row in found if row["cohort_month"] == date(2024, 2, 1)}
    assert active == {2: 1, 3: 1, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0, 10: 1, 11: 0}
    active = {row["month_on"].month: row["active_count"] for row in found if row["cohort_month"] == date(2024, 3, 1)}
    assert active == {3: 1, 4: 1, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0, 10: 0, 11: 1, 12: None}


def test_guests_are_in_no_cohort_and_an_empty_shop_has_none(empty_shop):
    assert made(empty_shop, "cohort_retention", [order(1, None, "2024-01-10")], [], until=UNTIL) == []


def test_what_was_given_back_before_the_first_purchase_counts_in_its_month(empty_shop):
    found = made(
        empty_shop, "cohort_retention", [order(1, 7, "2024-03-10", 10)], [refund(1, 7, "2024-01-05", 25)],
        until=datetime(2024, 4, 1, tzinfo=UTC),
    )  # fmt: skip
    assert [(row["cohort_month"], row["net_amount"], row["cumulative_amount"]) for row in found] == [
        (date(2024, 3, 1), -15, -15)
    ]


def test_a_load_that_ends_in_the_future_knows_nothing_of_it(empty_shop):
    found = made(
        empty_shop, "cohort_retention", [order(1, 1, "2024-01-10")], [], until=datetime(2400, 1, 1, tzinfo=UTC)
    )
    now = datetime.now(UTC).date()
    assert {row["month_on"] for row in found if row["active_count"] is not None} == set(
        months_between(date(2024, 1, 1), now.replace(day=1) - timedelta(days=1))
    )
