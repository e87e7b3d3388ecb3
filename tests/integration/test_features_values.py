"""What the two views say, against the plain computation of each feature from the facts."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from psycopg.rows import dict_row

from include.entities.window import Window
from include.features.definitions.snapshots import snapshots_of
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration.feature_oracle import Past, fifths
from tests.integration.feature_shop import (
    DAY,
    Event,
    Fact,
    Order,
    Refund,
    build_all,
    day,
    instant_of,
    load,
    newest_versions,
    random_facts,
)

MICROSECOND = timedelta(microseconds=1)


def rows_at(warehouse, view, snapshot: datetime) -> dict[int, dict]:
    columns = ", ".join(view.feature_names)
    with warehouse.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"SELECT customer_id, {columns} FROM features.{view} WHERE event_time = %s AND NOT is_tombstone",
            (snapshot,),
        ).fetchall()
    return {row.pop("customer_id"): row for row in rows}


def assert_same(found: dict[int, dict], expected: dict[int, dict], *, where: str) -> None:
    assert found.keys() == expected.keys(), where
    for customer, features in expected.items():
        for name, value in features.items():
            actual = found[customer][name]
            if isinstance(value, float) and actual is not None:
                assert math.isclose(actual, value, rel_tol=1e-9, abs_tol=1e-9), (where, customer, name, actual, value)
            else:
                assert actual == value, (where, customer, name, actual, value)


def assert_all_as_plainly_computed(warehouse, facts: list[Fact], window: Window) -> int:
    compared = 0
    for snapshot in snapshots_of(window):
        past = Past(facts, snapshot)
        assert_same(rows_at(warehouse, CUSTOMER_RFM, snapshot), past.rfm(), where=f"rfm {snapshot}")
        assert_same(rows_at(warehouse, CUSTOMER_ACTIVITY, snapshot), past.activity(), where=f"activity {snapshot}")
        compared += len(past.customers)
    return compared


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_of_a_range_equals_the_plain_computation(warehouse, seed):
    start = day("2023-01-10")
    facts = random_facts(seed, start=start, days=430, count=220)
    window = Window(start + DAY * 380, start + DAY * 432)  # 365-day windows end inside it
    load(warehouse, facts)
    build_all(warehouse, window)
    assert assert_all_as_plainly_computed(warehouse, facts, window) > 300


def test_snapshots_across_a_leap_day_equal_the_plain_computation(warehouse):
    facts = random_facts(11, start=day("2023-02-20"), days=380, count=150)
    window = Window(day("2024-02-20"), day("2024-03-10"))
    load(warehouse, facts)
    build_all(warehouse, window)
    assert day("2024-02-29") in snapshots_of(window)
    assert assert_all_as_plainly_computed(warehouse, facts, window) > 100


@pytest.mark.parametrize("width", [30, 90, 365])
def test_a_window_holds_its_first_instant_and_not_its_last(warehouse, width):
    snapshot = day("2024-06-01")
    start = snapshot - DAY * width
    facts: list[Fact] = []
    for customer, instant in enumerate((start - MICROSECOND, start, snapshot - MICROSECOND, snapshot), 1):
        facts += [
            Order(customer, customer, day("2022-01-01"), Decimal(1)),
            Order(100 + customer, customer, instant, Decimal(5), (1,)),
            Refund(customer, instant, Decimal(2), customer_id=customer),
            Event(str(customer), customer, instant),
        ]
    load(warehouse, facts)
    build_all(warehouse, Window(snapshot - DAY, snapshot))
    rows = rows_at(warehouse, CUSTOMER_ACTIVITY, snapshot)
    for name in ("order_count", "distinct_product_count", "event_count"):
        assert [rows[customer][f"{name}_{width}d"] for customer in (1, 2, 3, 4)] == [0, 1, 1, 0], name
    assert [rows[customer][f"revenue_amount_{width}d"] for customer in (1, 2, 3, 4)] == [0, 5, 5, 0]
    assert [rows[customer][f"refund_amount_{width}d"] for customer in (1, 2, 3, 4)] == [0, 2, 2, 0]
    assert [rows[customer][f"gap_mean_days_{width}d"] is not None for customer in (1, 2, 3, 4)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_customer_appears_at_the_first_snapshot_after_its_first_purchase(warehouse):
    load(
        warehouse,
        [
            Order(1, 1, day("2024-01-02")),
            Order(2, 2, day("2024-01-02") - MICROSECOND),
            Order(3, None, day("2024-01-01")),
            Order(4, 4, None),
            Event("browsing", 5, day("2024-01-01")),
            Refund(6, day("2024-01-01"), Decimal(3), customer_id=6),
        ],
    )
    build_all(warehouse, Window(day("2024-01-01"), day("2024-01-03")))
    for view in (CUSTOMER_RFM, CUSTOMER_ACTIVITY):
        assert set(rows_at(warehouse, view, day("2024-01-02"))) == {2}
        assert set(rows_at(warehouse, view, day("2024-01-03"))) == {1, 2}


def test_orders_at_one_instant_are_two_orders_and_one_instant_of_purchase(warehouse):
    instant = day("2024-01-02")
    load(warehouse, [Order(1, 1, instant, products=(1, 2)), Order(2, 1, instant, products=(2, 3))])
    build_all(warehouse, Window(instant, instant + DAY))
    row = rows_at(warehouse, CUSTOMER_ACTIVITY, instant + DAY)[1]
    assert (row["order_count_30d"], row["distinct_product_count_30d"]) == (2, 3)
    assert row["typical_gap_days"] is row["recency_over_typical_gap"] is row["gap_mean_days_30d"] is None


def test_a_refund_belongs_to_its_own_customer_or_else_to_that_of_its_order(warehouse):
    load(
        warehouse,
        [
            Order(1, 1, day("2024-01-01"), Decimal(100)),
            Order(2, 2, day("2024-01-01"), Decimal(100)),
            Refund(1, day("2024-01-02"), Decimal(7), order_id=1),
            Refund(2, day("2024-01-02"), Decimal(11), customer_id=2),
            Refund(3, day("2024-01-02"), Decimal(13), order_id=1, customer_id=2),
            Refund(4, day("2024-01-02"), Decimal(17)),
        ],
    )
    build_all(warehouse, Window(day("2024-01-02"), day("2024-01-03")))
    rows = rows_at(warehouse, CUSTOMER_RFM, day("2024-01-03"))
    assert {customer: row["monetary_amount"] for customer, row in rows.items()} == {1: 93, 2: 76}


def test_equal_customers_are_scored_in_order_of_their_ids(warehouse):
    load(warehouse, [Order(number, 20 - number, day("2024-01-01"), Decimal(5)) for number in range(1, 13)])
    build_all(warehouse, Window(day("2024-01-01"), day("2024-01-02")))
    rows = rows_at(warehouse, CUSTOMER_RFM, day("2024-01-02"))
    by_hand = dict(zip(range(8, 20), (1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5), strict=True))  # 12 = 3 + 3 + 2 + 2 + 2
    assert fifths(dict.fromkeys(range(8, 20), 0)) == by_hand
    for name in ("recency_score", "frequency_score", "monetary_score"):
        assert {customer: row[name] for customer, row in rows.items()} == by_hand


@pytest.mark.parametrize("seed", [1, 2])
def test_no_fact_at_or_after_a_snapshot_changes_a_byte_of_any_row(warehouse, seed):
    start, snapshot = day("2023-01-01"), day("2024-01-15")
    past = [fact for fact in random_facts(seed, start=start, days=379) if instant_of(fact) < snapshot]
    load(warehouse, past)
    window = Window(snapshot - DAY * 5, snapshot)
    build_all(warehouse, window)
    before = {name: newest_versions(warehouse, view) for name, view in FEATURE_VIEWS.items()}

    rng = random.Random(seed)
    order_ids = [fact.order_id for fact in past if isinstance(fact, Order)]
    future: list[Fact] = []
    for number in range(10_000, 10_060):
        instant = snapshot + rng.choice([timedelta(0), MICROSECOND, DAY, DAY * 30, DAY * 400])
        customer = rng.randrange(1, 9)
        future += [
            Order(number, customer, instant, Decimal(999), (1, 2, 3, 4, 5, 6)),
            Refund(number, instant, Decimal(555), order_id=rng.choice(order_ids)),
            Event(f"later-{number}", customer, instant),
        ]
    load(warehouse, future)
    for name, view in FEATURE_VIEWS.items():
        warehouse.execute(f"TRUNCATE features.{name}_v1, features.built_snapshots")
        assert newest_versions(warehouse, view) == []
    build_all(warehouse, window)
    assert {name: newest_versions(warehouse, view) for name, view in FEATURE_VIEWS.items()} == before


def test_the_session_s_time_zone_changes_nothing(warehouse):
    facts = random_facts(5, start=day("2023-01-01"), days=200)
    load(warehouse, facts)
    warehouse.execute("SET timezone = 'America/New_York'")
    warehouse.commit()
    window = Window(day("2023-03-08"), day("2023-03-30"))
    build_all(warehouse, window)
    warehouse.execute("SET timezone = 'UTC'")
    assert assert_all_as_plainly_computed(warehouse, facts, window) > 50
