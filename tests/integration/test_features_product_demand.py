"""What the view `product_demand` says, against the plain computation of each feature from the facts."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.features.definitions.check import check_against_database
from include.features.views.product_demand import PRODUCT_DEMAND
from tests.integration.oracle_product_demand import (
    DAY,
    MICROSECOND,
    Fact,
    Line,
    Return,
    demand,
    load,
    plain_demand,
    random_facts,
)
from tests.integration.view_rows import assert_alone_as_together, assert_rows_are
from tests.properties import examples

AT = datetime(2024, 6, 3, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
PRODUCTS = (1, 2, 3, 4)
_FROM_A_TABLE_OF_SINES = {"snapshot_weekday_sine", "snapshot_weekday_cosine"}


def assert_as_plainly_computed(
    conn, facts: list[Fact], snapshots: list[datetime], products: tuple[int, ...] = PRODUCTS
) -> int:
    found = demand(conn, snapshots, products)
    return assert_rows_are(found, plain_demand, facts, products, snapshots, assert_same=assert_same)


def assert_same(found: dict[str, Any], expected: dict[str, Any], *, where: object) -> None:
    assert found.keys() == expected.keys() == set(PRODUCT_DEMAND.feature_names)
    for name, value in expected.items():
        if name in _FROM_A_TABLE_OF_SINES:
            assert math.isclose(found[name], value, rel_tol=1e-12, abs_tol=1e-12), (where, name, found[name], value)
        else:
            assert found[name] == value, (where, name, found[name], value)
            assert (type(found[name]) is float) == (type(value) is float), (where, name)


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_a_range_of_midnights_equals_the_plain_computation(warehouse, seed):
    rng = random.Random(seed)
    facts = random_facts(rng, start=AT - DAY * 150, days=230, count=300)
    load(warehouse, facts)
    assert assert_as_plainly_computed(warehouse, facts, [AT + DAY * number for number in range(45)]) >= 170


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_any_instants_with_gaps_equals_the_plain_computation(warehouse, seed):
    rng = random.Random(100 + seed)
    facts = random_facts(rng, start=AT - DAY * 120, days=150, count=200)
    times_of_day = [DAY * rng.random() for _ in range(3)] + [DAY * 0, DAY - MICROSECOND]
    chosen = {AT + DAY * rng.randrange(-100, 60) + rng.choice(times_of_day) for _ in range(25)}
    chosen |= {
        fact.paid_at + step
        for fact in rng.sample(facts, 20)
        if isinstance(fact, Line) and fact.paid_at
        for step in (DAY * 0, MICROSECOND, DAY * 28, DAY * 90)
    }
    load(warehouse, facts)
    assert assert_as_plainly_computed(warehouse, facts, sorted(chosen)) >= 100


OFFSETS = st.builds(
    lambda quarters, step: AT + DAY * quarters / 4 + MICROSECOND * step,
    st.integers(-4 * 100, 4 * 4),
    st.sampled_from((-1, 0, 0, 0, 1)),
)
LINES = st.tuples(OFFSETS, st.sampled_from((1, 2)), st.integers(1, 3), st.sampled_from((None, 1, 2)))
RETURNS = st.tuples(OFFSETS, st.sampled_from((1, 2)), st.integers(0, 3))


@examples(40)
@given(
    lines=st.lists(LINES, max_size=10),
    returns=st.lists(RETURNS, max_size=3),
    snapshots=st.lists(OFFSETS, min_size=1, max_size=6, unique=True),
)
def test_any_small_shop_equals_the_plain_computation(warehouse, lines, returns, snapshots):
    facts: list[Fact] = [
        Line(number, at, product, quantity, Decimal(number), customer)
        for number, (at, product, quantity, customer) in enumerate(lines, 1)
    ]
    facts += [Return(number, at, product, quantity) for number, (at, product, quantity) in enumerate(returns, 1)]
    with warehouse.transaction(force_rollback=True):
        load(warehouse, facts)
        assert_as_plainly_computed(warehouse, facts, snapshots, (1, 2))


def test_lags_means_and_deviations_are_those_that_pandas_shifts_and_rolls(warehouse):
    rng = random.Random(7)
    facts = [
        Line(number, AT + DAY * 90 * rng.random() ** 2, rng.choice(PRODUCTS), rng.randrange(1, 9))
        for number in range(1, 400)
    ]
    load(warehouse, facts)
    snapshots = [AT + DAY * number for number in range(1, 95)]
    found = demand(warehouse, snapshots, PRODUCTS)
    sold = pd.DataFrame(
        {
            "product": [f.product_id for f in facts],
            "at": [f.paid_at for f in facts],
            "units": [f.quantity for f in facts],
        }
    )
    compared = 0
    for product, sales in sold.groupby("product"):
        daily = sales.set_index("at")["units"].resample("D").sum()  # begins on the day of the first sale
        daily = daily.reindex(pd.date_range(daily.index[0], snapshots[-1], freq="D"), fill_value=0)
        ended = daily.shift(1)  # what a midnight sees is the days that ended
        peer = pd.DataFrame(
            {f"units_lag_{days}d": daily.shift(days) for days in (1, 7, 14, 28)}
            | {f"units_mean_{days}d": ended.rolling(days, min_periods=1).mean() for days in (7, 28)}
            | {f"units_deviation_{days}d": ended.rolling(days, min_periods=2).std() for days in (7, 28)}
        )
        for snapshot, expected in peer.iloc[1:].iterrows():
            row = found[product, snapshot.to_pydatetime()]
            for name, value in expected.items():
                same = row[name] is None if math.isnan(value) else math.isclose(row[name], value, abs_tol=1e-9)
                assert same, (product, snapshot, name, row[name], value)
                compared += 1
    assert compared > 4 * 8 * 80


def test_a_sale_is_seen_from_one_microsecond_after_it_on(warehouse):
    load(warehouse, [Line(1, AT, 1)])
    found = demand(warehouse, [AT, AT + MICROSECOND], [1])
    assert found.keys() == {(1, AT + MICROSECOND)}
    assert found[1, AT + MICROSECOND]["units_lag_1d"] == 1


@pytest.mark.parametrize(
    ("days", "names"),
    [
        (28, ("units_28d", "sales_amount_28d", "distinct_buyer_count_28d", "units_lag_28d")),
        (90, ("units_90d", "sales_amount_90d", "returned_share_90d", "price_position_90d")),
    ],
)
def test_a_window_holds_its_first_instant_and_no_earlier_one(warehouse, days, names):
    at_the_edge, too_old = AT - DAY * days, AT - DAY * days - MICROSECOND
    load(warehouse, [Line(1, at_the_edge, 1, customer_id=5), Line(2, too_old, 2, customer_id=5)])
    load(warehouse, [Return(1, at_the_edge, 1), Return(2, too_old, 2)])
    found = demand(warehouse, [AT], [1, 2])
    assert all(found[1, AT][name] for name in names)
    assert not any(found[2, AT][name] for name in names)


def test_days_without_a_sale_count_as_zero_from_the_day_of_the_first_sale_on_and_none_before_it_counts(warehouse):
    load(warehouse, [Line(1, AT - DAY * 3 + DAY / 2, 1, quantity=6)])
    row = demand(warehouse, [AT], [1])[1, AT]
    assert (row["units_mean_7d"], row["units_mean_28d"]) == (2.0, 2.0)
    assert row["units_deviation_7d"] == math.sqrt(12)  # of 0, 0 and 6
    assert (row["units_lag_1d"], row["units_lag_7d"], row["units_lag_14d"], row["units_lag_28d"]) == (
        0,
        None,
        None,
        None,
    )


def test_one_day_has_a_mean_and_no_deviation(warehouse):
    load(warehouse, [Line(1, AT - DAY, 1, quantity=6)])
    row = demand(warehouse, [AT], [1])[1, AT]
    assert (row["units_mean_7d"], row["units_deviation_7d"], row["units_deviation_28d"]) == (6.0, None, None)


def test_days_end_at_a_snapshot_that_is_no_midnight(warehouse):
    noon = AT + DAY / 2
    load(warehouse, [Line(1, noon - DAY * 7, 1, 3), Line(2, noon - DAY * 6 - MICROSECOND, 1, 4)])
    load(warehouse, [Line(3, noon - DAY * 6, 1, 8)])
    found = demand(warehouse, [AT, noon], [1])
    assert found[1, noon]["units_lag_7d"] == 7
    assert found[1, noon]["units_mean_7d"] == 15 / 7
    assert found[1, AT]["units_lag_7d"] == 3  # of the days of midnights it is the day before


def test_the_last_of_sales_at_one_instant_is_that_of_the_greater_order_then_line(warehouse):
    load(warehouse, [Line(9, AT - DAY, 1, 1, Decimal(1), line_id=1), Line(9, AT - DAY, 1, 1, Decimal(6), line_id=2)])
    load(warehouse, [Line(10, AT - DAY * 2, 1, 1, Decimal(100)), Line(8, AT - DAY, 1, 1, Decimal(9), line_id=3)])
    assert demand(warehouse, [AT], [1])[1, AT]["price_position_90d"] == 6 * 4 / 116


def test_what_is_given_away_has_no_price_position(warehouse):
    load(warehouse, [Line(1, AT - DAY, 1, 2, Decimal(0))])
    row = demand(warehouse, [AT], [1])[1, AT]
    assert (row["units_90d"], row["price_position_90d"]) == (2, None)


def test_guests_buy_units_but_are_no_buyers_and_a_buyer_of_many_lines_is_one(warehouse):
    load(warehouse, [Line(1, AT - DAY, 1, 2), Line(2, AT - DAY, 1, 3, customer_id=7, line_id=1)])
    load(warehouse, [Line(2, AT - DAY, 1, 4, customer_id=7, line_id=2), Line(3, AT - DAY * 9, 1, 1, customer_id=7)])
    row = demand(warehouse, [AT], [1])[1, AT]
    assert (row["units_28d"], row["distinct_buyer_count_28d"]) == (10, 1)


def test_unpaid_orders_shipping_and_lines_without_a_product_are_no_sales(warehouse):
    load(warehouse, [Line(1, None, 1), Line(2, AT - DAY, 1, kind="shipping"), Line(3, AT - DAY, None)])
    assert demand(warehouse, [AT], [1]) == {}


def test_returns_count_without_an_order_but_not_before_the_day_of_the_first_sale(warehouse):
    load(warehouse, [Line(1, AT - DAY * 5, 1, 8)])
    load(warehouse, [Return(1, AT - DAY, 1, 2), Return(2, AT - DAY, 1, 1, order_id=999)])
    load(warehouse, [Return(3, AT - DAY * 5, 1, 1), Return(4, AT - DAY * 5 - MICROSECOND, 1, 1)])
    load(warehouse, [Return(5, AT, 1, 1), Return(6, AT - DAY, 1, 1, kind="fee")])
    assert demand(warehouse, [AT], [1])[1, AT]["returned_share_90d"] == 4 / 8


@pytest.mark.parametrize("number", range(7))
def test_the_weekday_is_that_of_the_snapshot_in_utc_whatever_the_session_says(warehouse, number):
    load(warehouse, [Line(1, AT - DAY, 1)])
    warehouse.execute("SET timezone = 'Pacific/Auckland'")
    snapshot = AT + DAY * number + DAY * 0.9
    row = demand(warehouse, [snapshot], [1])[1, snapshot]
    assert row["snapshot_weekday"] == number + 1
    assert math.isclose(
        math.atan2(row["snapshot_weekday_sine"], row["snapshot_weekday_cosine"]) % math.tau,
        math.tau * number / 7,
        abs_tol=1e-12,
    )


def as_text(conn, snapshots, products) -> dict[tuple, dict[str, str]]:
    return {key: {n: repr(v) for n, v in row.items()} for key, row in demand(conn, snapshots, products).items()}


def some_snapshots(rng: random.Random) -> list[datetime]:
    return sorted({AT + DAY * rng.randrange(-90, 40) + HOUR * rng.choice((0, 0, 7, 23)) for _ in range(20)})


def test_facts_at_or_after_the_snapshot_and_edits_that_no_feature_may_see_change_no_byte(warehouse):
    rng = random.Random(3)
    facts = random_facts(rng, start=AT - DAY * 130, days=130, count=150)
    load(
        warehouse,
        [
            fact
            for fact in facts
            if (fact.paid_at if isinstance(fact, Line) else fact.refunded_at) is None
            or (fact.paid_at if isinstance(fact, Line) else fact.refunded_at) < AT
        ],
    )
    before = as_text(warehouse, [AT], PRODUCTS)
    load(warehouse, [Line(5000 + n, AT + DAY * n / 7, n % 4 + 1, 9, Decimal(99), n % 3) for n in range(60)])
    load(warehouse, [Return(5000 + n, AT + DAY * n / 7, n % 4 + 1, 9) for n in range(30)])
    warehouse.execute("UPDATE shop.orders SET status = 'refunded', completed_at = %s, cancelled_at = %s", (AT, AT))
    warehouse.execute("UPDATE shop.orders SET paid_at = %s WHERE paid_at IS NULL", (AT + DAY,))
    for table in ("orders", "order_lines", "refunds", "refund_lines"):
        warehouse.execute(f"UPDATE shop.{table} SET source_updated_at = %s, ingested_at = %s", (AT + DAY, AT + DAY))
    assert len(before) == 4
    assert as_text(warehouse, [AT], PRODUCTS) == before


def test_products_and_snapshots_wanted_alone_get_the_rows_they_get_among_others(warehouse):
    rng = random.Random(4)
    load(warehouse, random_facts(rng, start=AT - DAY * 150, days=190, count=250))
    snapshots = some_snapshots(rng)
    assert assert_alone_as_together(warehouse, PRODUCT_DEMAND, snapshots, PRODUCTS) == 4 * len(snapshots)


def test_a_session_in_a_zone_with_summer_time_gets_the_same_rows(warehouse):
    evenings = [AT - DAY * 120 + DAY * number + HOUR * 23.5 for number in range(160)]
    load(warehouse, [Line(number, at, number % 4 + 1) for number, at in enumerate(evenings)])
    snapshots = [AT - DAY * 80, AT - DAY * 66 - HOUR, AT - DAY * 20, AT - HOUR, AT]
    in_utc = as_text(warehouse, snapshots, PRODUCTS)
    # Summer time began on 2024-03-31: midnights before it and 23 o'clock after it are one time of day there.
    warehouse.execute("SET timezone = 'Europe/London'")
    assert {(p, at.astimezone(UTC)): row for (p, at), row in as_text(warehouse, snapshots, PRODUCTS).items()} == in_utc


def test_without_facts_products_or_snapshots_there_are_no_rows(warehouse):
    assert demand(warehouse, [AT], [1]) == {}
    load(warehouse, [Line(1, AT - DAY, 1)])
    assert demand(warehouse, [AT], []) == {}
    assert demand(warehouse, [], [1]) == {}


def test_the_query_gives_what_the_definition_says_and_reads_nothing_that_knows_the_future(warehouse):
    check_against_database(warehouse, PRODUCT_DEMAND)
