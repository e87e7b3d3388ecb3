"""What the view `customer_lifetime` says, against the plain computation of each feature from the facts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.features.definitions.check import check_against_database
from include.features.views.customer_lifetime import CUSTOMER_LIFETIME
from tests.integration.oracle_customer_lifetime import plain_lifetime
from tests.integration.purchase_facts import DAY, MICROSECOND, Fact, Order, Refund, instant_of, load, random_facts
from tests.integration.view_rows import Rows, assert_alone_as_together, assert_rows_are, in_full, rows_of
from tests.properties import examples

AT = datetime(2024, 6, 3, tzinfo=UTC)
CUSTOMERS = (1, 2, 3)


def lifetimes(conn, snapshots: list[datetime], customers: tuple[int, ...] = CUSTOMERS) -> Rows:
    return rows_of(conn, CUSTOMER_LIFETIME, snapshots, customers)


def row_of_one(conn, *facts: Fact, at: datetime = AT) -> dict:
    load(conn, facts)
    return lifetimes(conn, [at], (1,))[1, at]


def assert_as_plainly_computed(conn, facts: list[Fact], snapshots: list[datetime]) -> int:
    return assert_rows_are(lifetimes(conn, snapshots), plain_lifetime, facts, CUSTOMERS, snapshots)


def test_the_query_is_what_the_definition_says_and_sees_no_future(warehouse):
    check_against_database(warehouse, CUSTOMER_LIFETIME)


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_a_range_of_midnights_equals_the_plain_computation(warehouse, seed):
    facts = random_facts(random.Random(seed), start=AT - DAY * 60, days=80)
    load(warehouse, facts)
    assert assert_as_plainly_computed(warehouse, facts, [AT + DAY * number for number in range(-65, 30)]) >= 150


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_any_instants_with_gaps_equals_the_plain_computation(warehouse, seed):
    rng = random.Random(100 + seed)
    facts = random_facts(rng, start=AT - DAY * 60, days=60)
    instants = sorted({instant for fact in facts if (instant := instant_of(fact)) is not None})
    chosen = {instant + rng.choice((0 * DAY, MICROSECOND, DAY, 365 * DAY)) for instant in rng.sample(instants, 30)}
    load(warehouse, facts)
    assert assert_as_plainly_computed(warehouse, facts, sorted(chosen)) >= 45


INSTANTS = st.builds(
    lambda days, microseconds: AT - days * DAY + microseconds * MICROSECOND,
    st.sampled_from((0, 0, 1, 2, 5)),
    st.sampled_from((-1, 0, 0, 1, 3_600_000_000)),
)
AMOUNTS = st.sampled_from((Decimal(0), Decimal("0.0001"), Decimal(5), Decimal("99999999999999.9999")))
ORDERS = st.lists(st.tuples(st.none() | INSTANTS, AMOUNTS), max_size=6)
REFUNDS = st.lists(st.tuples(INSTANTS, AMOUNTS, st.sampled_from((None, 0, 1, 99)), st.sampled_from((None, 1, 2))))


@examples(40)
@given(orders=ORDERS, refunds=REFUNDS, snapshots=st.lists(INSTANTS, min_size=1, max_size=6, unique=True))
def test_any_few_purchases_equal_the_plain_computation(warehouse, orders, refunds, snapshots):
    facts: list[Fact] = [Order(number, 1, paid_at, amount) for number, (paid_at, amount) in enumerate(orders)]
    facts += [Refund(number, *refund) for number, refund in enumerate(refunds)]
    with warehouse.transaction(force_rollback=True):
        load(warehouse, facts)
        assert_as_plainly_computed(warehouse, facts, snapshots)


@pytest.mark.parametrize(
    ("customer", "purchases", "x", "t_x", "age", "mean_value"),
    [
        (4, [("01-01", "29.33"), ("01-18", "29.73"), ("08-02", "14.96"), ("12-12", "26.48")], 2, 30.43, 38.86, 22.35),
        (21, [("01-01", "63.34"), ("01-13", "11.77")], 1, 1.71, 38.86, 11.77),
        (50, [("01-01", "6.79")], 0, 0.00, 38.86, 0.00),
        (
            111,
            [("01-01", "35.99"), ("01-11", "32.99"), ("03-15", "77.96"), ("04-16", "59.30"), ("04-24", "134.98"),
             ("06-23", "91.92"), ("07-22", "47.08"), ("07-26", "71.96"), ("10-25", "78.47"), ("12-06", "83.47")],
            7, 29.43, 38.86, 73.74,
        ),
    ],
)  # fmt: skip
def test_customers_of_cdnow_are_summarised_as_published(warehouse, customer, purchases, x, t_x, age, mean_value):
    """Purchases of 1997 and the (x, t_x, T, zbar) that Fader and Hardie publish for the weeks up to 30 September."""
    load(
        warehouse,
        [
            Order(number, customer, datetime.fromisoformat(f"1997-{day}T12:34:56Z"), Decimal(amount))
            for number, (day, amount) in enumerate(purchases)
        ],
    )
    end = datetime(1997, 9, 30, tzinfo=UTC)
    row = lifetimes(warehouse, [end], (customer,))[customer, end]
    assert row["repeat_purchase_days"] == x
    assert round(row["lifetime_recency_days"] / 7, 2) == t_x
    assert round(row["lifetime_age_days"] / 7, 2) == age
    assert (row["average_repeat_day_amount"] or 0.0) == pytest.approx(mean_value, abs=0.0051)  # rounded to cents


def test_purchases_of_one_day_are_one_and_a_microsecond_across_midnight_makes_two(warehouse):
    noon = AT - DAY * 10 + DAY / 2
    facts = [Order(1, 1, noon), Order(2, 1, noon), Order(3, 1, noon + DAY / 4), Order(4, 2, AT - DAY - MICROSECOND)]
    load(warehouse, [*facts, Order(5, 2, AT - DAY)])
    found = lifetimes(warehouse, [AT])
    names = ("repeat_purchase_days", "lifetime_recency_days", "lifetime_age_days", "average_repeat_day_amount")
    assert [found[1, AT][name] for name in names] == [0, 0, 10, None]
    assert (found[1, AT]["days_to_second_purchase"], found[1, AT]["largest_gap_days"]) == (0.25, 0.25)
    assert [found[2, AT][name] for name in names] == [1, 1, 2, 10.0]


def test_a_purchase_is_seen_from_one_microsecond_after_it_on(warehouse):
    load(warehouse, [Order(1, 1, AT), Order(2, None, AT - DAY), Order(3, 3, None)])
    found = lifetimes(warehouse, [AT, AT + MICROSECOND])
    assert found.keys() == {(1, AT + MICROSECOND)}
    assert found[1, AT + MICROSECOND]["lifetime_tenure_days"] == MICROSECOND / DAY


def test_orders_of_one_instant_come_in_the_order_of_their_ids(warehouse):
    row = row_of_one(
        warehouse,
        Order(12, 1, AT - DAY, Decimal(3)),
        Order(11, 1, AT - DAY, Decimal(2)),
        Order(13, 1, AT - DAY, Decimal(1)),
    )
    assert (row["first_order_amount"], row["last_order_amount"], row["largest_order_amount"]) == (2, 1, 3)


def test_a_refund_belongs_to_its_own_customer_or_else_to_that_of_its_order(warehouse):
    load(
        warehouse,
        [
            *(Order(customer, customer, AT - DAY, Decimal(100)) for customer in CUSTOMERS),
            Refund(1, AT - DAY, Decimal(7), order_id=1),
            Refund(2, AT - DAY, Decimal(11), order_id=1, customer_id=2),
            Refund(3, AT - DAY, Decimal(13), customer_id=2),
            Refund(4, AT - DAY, Decimal(17)),
            Refund(5, AT - DAY, Decimal(19), order_id=999),
            Refund(6, AT, Decimal(23), order_id=3),
        ],
    )
    found = lifetimes(warehouse, [AT])
    assert [found[customer, AT]["historic_value_amount"] for customer in CUSTOMERS] == [93, 76, 100]
    assert [found[customer, AT]["lifetime_refund_count"] for customer in CUSTOMERS] == [1, 2, 0]


def test_more_refunded_than_paid_makes_a_negative_value(warehouse):
    row = row_of_one(warehouse, Order(1, 1, AT - DAY, Decimal(5)), Refund(1, AT - DAY * 9, Decimal(8), customer_id=1))
    assert (row["historic_value_amount"], row["lifetime_paid_amount"]) == (-3, 5)


@pytest.mark.parametrize("seed", [1, 2])
def test_facts_at_or_after_a_snapshot_and_edits_of_what_is_no_fact_change_nothing(warehouse, seed):
    rng = random.Random(seed)
    facts = random_facts(rng, start=AT - DAY * 60, days=59)
    past = [fact for fact in facts if (instant := instant_of(fact)) is None or instant < AT]
    load(warehouse, past)
    before = in_full(lifetimes(warehouse, [AT - DAY * 20, AT]))
    for number in range(10_000, 10_050):
        instant = AT + rng.choice((0 * DAY, MICROSECOND, DAY, DAY * 365))
        owner = rng.choice((1, 2, 3, None))
        load(warehouse, [Order(number, owner, instant, Decimal(999))])
        load(warehouse, [Refund(number, instant, Decimal(555), rng.choice((1, 2, 3, number)), owner)])
    warehouse.execute("UPDATE shop.orders SET status = 'refunded', completed_at = %s, ingested_at = now()", (AT,))
    assert len(before) >= 5
    assert in_full(lifetimes(warehouse, [AT - DAY * 20, AT])) == before


def test_keys_and_snapshots_wanted_alone_give_the_same_rows_as_all_of_them(warehouse):
    facts = random_facts(random.Random(7), start=AT - DAY * 60, days=80)
    load(warehouse, facts)
    snapshots = [AT + DAY * number for number in range(-30, 10)]
    assert assert_alone_as_together(warehouse, CUSTOMER_LIFETIME, snapshots[::4], (*CUSTOMERS, 4)) >= 10
    assert lifetimes(warehouse, snapshots, (4,)) == {}


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland"])
def test_the_session_s_time_zone_changes_nothing(warehouse, zone):
    facts = random_facts(random.Random(3), start=datetime(2024, 3, 1, tzinfo=UTC), days=45)
    load(warehouse, facts)
    warehouse.execute(f"SET timezone = '{zone}'")
    snapshots = [datetime(2024, 3, 5, tzinfo=UTC) + timedelta(hours=6) * number for number in range(100)]
    assert assert_as_plainly_computed(warehouse, facts, snapshots) >= 200
