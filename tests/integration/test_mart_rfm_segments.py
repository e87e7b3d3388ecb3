"""What the marts of segments say of any shop is what counting who comes before whom says."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration import view_rows
from tests.integration.customer_trade import (
    START,
    end_of,
    facts_of,
    is_over,
    made,
    money,
    months_between,
    order,
    rows_of,
    trade,
)  # fmt: skip
from tests.integration.golden import make_mart, put_rows

UNTIL = START + timedelta(days=220)
NAMES = {
    5: ["New", "Potential Loyalist", "Potential Loyalist", "Champions", "Champions"],
    4: ["Promising", "Potential Loyalist", "Potential Loyalist", "Champions", "Champions"],
    3: ["About To Sleep", "About To Sleep", "Need Attention", "Loyal", "Loyal"],
    2: ["Hibernating", "Hibernating", "At Risk", "At Risk", "Cannot Lose Them"],
    1: ["Hibernating", "Hibernating", "At Risk", "At Risk", "Cannot Lose Them"],
}
"""Segments by recency score, for the frequency scores 1 to 5."""


def fifths(keys: list[Any]) -> list[int]:
    """The fifth that each key is in, if all are in order: the first ones have one more where five parts do not come out
    even. Counted one by one."""
    sizes = [len(keys) // 5 + (part < len(keys) % 5) for part in range(5)]
    ends = [sum(sizes[: part + 1]) for part in range(5)]
    return [1 + sum(sum(other < key for other in keys) >= end for end in ends) for key in keys]


def plain_scores(facts: pd.DataFrame, until: datetime) -> dict[tuple[int, str], dict[str, Any]]:
    """By customer and currency, from the facts before an instant."""
    known = facts[facts["at"] < until]
    states = []
    for (customer, currency), own in known.groupby(["customer_id", "currency"]):
        bought = own[own["is_purchase"]]
        if len(bought):
            states.append((customer, currency, bought["at"].max(), len(bought), own["amount"].sum()))
    scores: dict[tuple[int, str], dict[str, Any]] = {}
    for currency in {state[1] for state in states}:
        own = [state for state in states if state[1] == currency]
        by = [fifths([(state[column], state[0]) for state in own]) for column in (2, 3, 4)]
        for state, recency, frequency, monetary in zip(own, *by, strict=True):
            scores[state[0], currency] = {
                "last_paid_at": state[2], "order_count": state[3], "net_amount": money(state[4]),
                "recency_score": recency, "frequency_score": frequency, "monetary_score": monetary,
                "segment": NAMES[recency][frequency - 1],
            }  # fmt: skip
    return scores


def plain_movements(facts: pd.DataFrame, *, zone: str, until: datetime) -> dict[tuple, tuple]:
    """Customers, purchases and money by month, currency, segment before and segment at its end."""
    found: dict[tuple, list] = defaultdict(lambda: [0, 0, money(0)])
    before: dict[tuple[int, str], dict[str, Any]] = {}
    for month in months_between(facts.loc[facts["is_purchase"], "month"].min(), until.date()):
        if not is_over(month, zone, until):
            break
        scores = plain_scores(facts, end_of(month, zone))
        for (customer, currency), score in scores.items():
            came_from = before.get((customer, currency), {}).get("segment", "")
            sums = found[month, currency, came_from, score["segment"]]
            sums[:] = [sums[0] + 1, sums[1] + score["order_count"], sums[2] + score["net_amount"]]
        before = scores
    return {key: tuple(sums) for key, sums in found.items()}


def movements(rows: list[dict[str, Any]]) -> dict[tuple, tuple]:
    return {
        (row["month_on"], row["currency"], row["from_segment"], row["to_segment"]): (
            row["customer_count"], row["order_count"], row["net_amount"],
        )
        for row in rows
    }  # fmt: skip


def sizes(found: dict[tuple, tuple]) -> dict[tuple, list]:
    summed: dict[tuple, list] = defaultdict(lambda: [0, 0, money(0)])
    for (month, currency, _, segment), sums in found.items():
        own = summed[month, currency, segment]
        own[:] = [mine + more for mine, more in zip(own, sums, strict=True)]
    return summed


@given(st.lists(st.integers(0, 3), max_size=23))
def test_the_oracle_of_fifths_gives_parts_as_even_as_can_be_the_first_ones_larger(values):
    keys = [(value, number) for number, value in enumerate(values)]
    parts = Counter(fifths(keys))
    assert [parts[part] for part in range(1, 6)] == sorted((parts[part] for part in range(1, 6)), reverse=True)
    assert max(parts.values(), default=0) - min((parts[part] for part in range(1, 6)), default=0) <= 1
    assert [part for _, part in sorted(zip(keys, fifths(keys), strict=True))] == sorted(fifths(keys))


@pytest.mark.parametrize(("seed", "zone"), [(1, "UTC"), (2, "Europe/Berlin"), (3, "America/New_York")])
def test_movements_and_sizes_equal_those_counted_one_by_one(empty_shop, seed, zone):
    orders, refunds = trade(seed, days=210, orders=220, customers=23, currencies=("EUR", "GBP"))
    found = movements(made(empty_shop, "rfm_movements", orders, refunds, zone=zone, until=UNTIL))
    expected = plain_movements(facts_of(orders, refunds, zone=zone), zone=zone, until=UNTIL)
    assert found == expected
    assert len(expected) > 40
    make_mart(empty_shop, "rfm_segments", time_zone=zone, until=UNTIL)
    rows = rows_of(empty_shop, "rfm_segments")
    over = [row for row in rows if row["is_complete"]]
    assert {(row["month_on"], row["currency"], row["segment"]): [row["customer_count"], row["order_count"],
            row["net_amount"]] for row in over} == sizes(expected)  # fmt: skip
    for row in rows:
        everybody = [one for one in rows if (one["month_on"], one["currency"]) == (row["month_on"], row["currency"])]
        total = sum(one["net_amount"] for one in everybody)
        assert row["customer_share"] == pytest.approx(
            row["customer_count"] / sum(one["customer_count"] for one in everybody)
        )
        assert row["revenue_share"] == (pytest.approx(float(row["net_amount"] / total)) if total > 0 else None)


@pytest.mark.parametrize("customers", [1, 2, 4, 5, 6, 9, 11])
def test_scores_of_customers_who_are_alike_follow_the_rule_of_fifths(empty_shop, customers):
    orders = [order(number, number % customers + 1, "2024-02-29T12:00") for number in range(1, customers + 1)]
    found = made(empty_shop, "rfm_customers", orders, [], until=UNTIL)
    scores = {(row.pop("customer_id"), row.pop("currency")): row for row in found}
    assert scores == plain_scores(facts_of(orders, []), UNTIL)
    assert len(scores) == customers
    make_mart(empty_shop, "rfm_movements", until=UNTIL)
    assert movements(rows_of(empty_shop, "rfm_movements")) == plain_movements(
        facts_of(orders, []), zone="UTC", until=UNTIL
    )


@pytest.mark.parametrize("seed", [4, 5])
def test_scores_equal_those_counted_one_by_one(empty_shop, seed):
    orders, refunds = trade(seed, days=60, orders=90, customers=17, currencies=("EUR", "GBP"))
    found = made(empty_shop, "rfm_customers", orders, refunds, until=UNTIL)
    assert {(row.pop("customer_id"), row.pop("currency")): row for row in found} == plain_scores(
        facts_of(orders, refunds), datetime(2100, 1, 1, tzinfo=UTC)
    )


def test_scores_and_names_are_those_of_the_feature_view_at_the_same_instant(empty_shop):
    orders, refunds = trade(6, days=90, orders=150, customers=26)
    until = datetime(2024, 2, 1, tzinfo=UTC)
    facts = [one for one in orders if one["paid_at"] is None or one["paid_at"] < until]
    returned = [one for one in refunds if one["refunded_at"] < until]
    found = made(empty_shop, "rfm_customers", facts, returned, until=until)
    features = view_rows.rows_of(empty_shop, CUSTOMER_RFM, [until], range(1, 40))
    names = ("recency_score", "frequency_score", "monetary_score", "segment")
    assert {row["customer_id"]: [row[name] for name in names] for row in found} == {
        customer: [row[name] for name in names] for (customer, _), row in features.items()
    }
    assert len({row["segment"] for row in found}) >= 6
    make_mart(empty_shop, "rfm_segments", until=until)
    by_segment = Counter(row["segment"] for row in found)
    rows = [row for row in rows_of(empty_shop, "rfm_segments") if row["month_on"] == date(2024, 1, 1)]
    assert {row["segment"]: row["customer_count"] for row in rows} == by_segment
    assert all(row["is_complete"] for row in rows)


@pytest.mark.parametrize("seed", [7, 8])
def test_refreshed_as_facts_come_in_they_equal_those_made_at_once(empty_shop, seed):
    orders, refunds = trade(seed, days=120, orders=120, customers=15)
    for part in range(4):
        put_rows(empty_shop, "orders", orders[part::4])
        put_rows(empty_shop, "refunds", refunds[part::4])
        until = START + timedelta(days=31 * (part + 1), hours=-part)
        make_mart(empty_shop, "rfm_segments", until=until)
    found = movements(rows_of(empty_shop, "rfm_movements"))
    assert found == plain_movements(facts_of(orders, refunds), zone="UTC", until=until)


def test_months_that_end_without_a_new_fact_are_followed_one_and_all(empty_shop):
    put_rows(empty_shop, "orders", [order(1, 1, "2024-01-10")])
    seen = []
    for until in ("2024-01-20", "2024-03-10", "2024-03-31", "2024-04-01"):
        make_mart(empty_shop, "rfm_movements", until=datetime.fromisoformat(until).replace(tzinfo=UTC))
        seen.append(sorted(row["month_on"].month for row in rows_of(empty_shop, "rfm_movements")))
    assert seen == [[], [1, 2], [1, 2], [1, 2, 3]]


def test_customers_who_come_in_together_are_followed_from_the_first_of_their_months_on(empty_shop):
    orders = [order(number, number, "2024-01-10") for number in range(1, 21)]
    made(empty_shop, "rfm_movements", orders, [], until=UNTIL)
    more = [order(21, 21, "2024-05-10"), order(22, 22, "2024-02-10"), order(23, 23, "2024-06-10")]
    found = movements(made(empty_shop, "rfm_movements", more, [], until=UNTIL))
    assert found == plain_movements(facts_of(orders + more, []), zone="UTC", until=UNTIL)


def test_a_month_without_facts_and_the_one_under_way_have_segments_too(empty_shop):
    orders = [order(1, 1, "2024-01-10", 10), order(2, 2, "2024-04-02", 30)]
    found = made(empty_shop, "rfm_segments", orders, [], until=datetime(2024, 5, 20, tzinfo=UTC))
    assert {(row["month_on"].month, row["is_complete"]): 0 for row in found} == {
        (1, True): 0, (2, True): 0, (3, True): 0, (4, True): 0, (5, False): 0
    }  # fmt: skip
    assert sum(row["customer_count"] for row in found if row["month_on"].month == 5) == 2
    assert [row["customer_count"] for row in found if row["month_on"].month == 2] == [1]


def test_a_share_of_revenue_is_null_where_more_was_given_back_than_paid(empty_shop):
    returned = [{"refund_id": 1, "order_id": 1, "customer_id": None, "currency": "EUR", "refund_amount": 50,
                 "refunded_at": datetime(2024, 1, 12, tzinfo=UTC)}]  # fmt: skip
    found = made(
        empty_shop, "rfm_segments", [order(1, 1, "2024-01-10", 10)], returned, until=datetime(2024, 2, 1, tzinfo=UTC)
    )
    assert [(row["net_amount"], row["revenue_share"], row["customer_share"]) for row in found] == [(-40, None, 1)]


def test_without_customers_there_are_no_segments(empty_shop):
    assert made(empty_shop, "rfm_segments", [order(1, None, "2024-01-10")], [], until=UNTIL) == []


def test_without_customers_the_months_end_whatever_the_planner_begins_with(empty_shop):
    # As written the months come first: from a beginning at minus infinity they would have no end.
    empty_shop.execute("SET LOCAL join_collapse_limit = 1; SET LOCAL statement_timeout = '10s'")
    assert made(empty_shop, "rfm_movements", [order(1, None, "2024-01-10")], [], until=UNTIL) == []


def test_if_nobody_said_how_far_was_loaded_the_month_of_the_last_fact_is_the_last(empty_shop):
    found = made(empty_shop, "rfm_segments", [order(1, 1, "2024-01-10"), order(2, 2, "2024-03-10")], [], until=None)
    assert {(row["month_on"].month, row["is_complete"]) for row in found} == {(1, True), (2, True), (3, True)}
