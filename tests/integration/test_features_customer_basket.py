"""What the view `customer_basket` says, against the plain computation of each feature from the facts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.features.definitions.check import check_against_database
from include.features.views.customer_basket import CUSTOMER_BASKET
from tests.integration.oracle_customer_basket import plain_basket
from tests.integration.purchase_facts import (
    DAY,
    MICROSECOND,
    Fact,
    Line,
    Order,
    Refund,
    Version,
    instant_of,
    load,
    random_facts,
)
from tests.integration.view_rows import PROVENANCE, Rows, assert_alone_as_together, assert_rows_are, in_full, rows_of
from tests.properties import examples

AT = datetime(2024, 6, 3, tzinfo=UTC)
YEAR = 365 * DAY
CUSTOMERS = (1, 2, 3)


def baskets(conn, snapshots: list[datetime], customers: tuple[int, ...] = CUSTOMERS) -> Rows:
    return rows_of(conn, CUSTOMER_BASKET, snapshots, customers)


def row_of_one(conn, *facts: Fact, at: datetime = AT) -> dict:
    load(conn, facts)
    return baskets(conn, [at], (1,))[1, at]


def order(number: int, *lines: Line, paid_at: datetime = AT - DAY, customer: int = 1, **more) -> Order:
    return Order(number, customer, paid_at, lines=lines, **more)


def assert_as_plainly_computed(conn, facts: list[Fact], snapshots: list[datetime]) -> int:
    return assert_rows_are(baskets(conn, snapshots), plain_basket, facts, CUSTOMERS, snapshots)


def test_the_query_is_what_the_definition_says_and_sees_no_future(warehouse):
    check_against_database(warehouse, CUSTOMER_BASKET)


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_a_range_of_midnights_equals_the_plain_computation(warehouse, seed):
    facts = random_facts(random.Random(seed), start=AT - DAY * 60, days=80)
    load(warehouse, facts)
    snapshots = [AT + DAY * number for number in (*range(-65, 30), *range(300, 400))]
    assert assert_as_plainly_computed(warehouse, facts, snapshots) >= 400


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_any_instants_with_gaps_equals_the_plain_computation(warehouse, seed):
    rng = random.Random(100 + seed)
    facts = random_facts(rng, start=AT - DAY * 60, days=60)
    instants = sorted({instant for fact in facts if (instant := instant_of(fact)) is not None})
    steps = (0 * DAY, MICROSECOND, DAY, YEAR, YEAR + MICROSECOND)
    chosen = {instant + rng.choice(steps) for instant in rng.sample(instants, 40)}
    load(warehouse, facts)
    assert assert_as_plainly_computed(warehouse, facts, sorted(chosen)) >= 60


INSTANTS = st.builds(
    lambda days, microseconds: AT - days * DAY + microseconds * MICROSECOND,
    st.sampled_from((0, 0, 1, 364, 365, 366)),
    st.sampled_from((-1, 0, 0, 0, 1)),
)
AMOUNTS = st.sampled_from((Decimal(0), Decimal("0.0001"), Decimal(5), Decimal("9999999999.9999")))
PRODUCTS = st.sampled_from((None, 1, 2))
LINES = st.builds(Line, PRODUCTS, st.sampled_from((1, 1, 3, 2**31)), AMOUNTS, st.sampled_from(("product", "fee")))
ORDERS = st.lists(st.tuples(INSTANTS, AMOUNTS, AMOUNTS, st.lists(LINES, max_size=3).map(tuple)), max_size=5)
REFUNDS = st.lists(st.tuples(INSTANTS, AMOUNTS, st.sampled_from((None, 0, 1)), st.sampled_from((None, 1, 2))))
CATEGORIES = st.lists(st.sampled_from(("a", "B", "é")), max_size=2).map(tuple)
VERSIONS = st.dictionaries(st.tuples(st.sampled_from((1, 2)), st.none() | INSTANTS), CATEGORIES, max_size=5)


@examples(60)
@given(
    orders=ORDERS,
    refunds=REFUNDS,
    versions=VERSIONS,
    snapshots=st.lists(INSTANTS, min_size=1, max_size=6, unique=True),
)
def test_any_few_purchases_equal_the_plain_computation(warehouse, orders, refunds, versions, snapshots):
    facts: list[Fact] = [Order(number, 1, *fields) for number, fields in enumerate(orders)]
    facts += [Refund(number, *fields) for number, fields in enumerate(refunds)]
    facts += [Version(product_id, categories, at) for (product_id, at), categories in versions.items()]
    with warehouse.transaction(force_rollback=True):
        load(warehouse, facts)
        assert_as_plainly_computed(warehouse, facts, snapshots)


def test_a_purchase_is_seen_from_one_microsecond_after_it_until_a_year_after_it(warehouse):
    load(warehouse, [order(1, Line(1, 4), paid_at=AT), Version(1, ("Tea",))])
    instants = [AT, AT + MICROSECOND, AT + YEAR, AT + YEAR + MICROSECOND]
    found = baskets(warehouse, instants)
    assert found.keys() == {(1, instant) for instant in instants[1:]}
    assert [found[1, at]["units_per_order_365d"] for at in instants[1:]] == [4.0, 4.0, None]
    assert [found[1, at]["favourite_category_365d"] for at in instants[1:]] == ["Tea", "Tea", None]
    assert [found[1, at]["distinct_category_count_365d"] for at in instants[1:]] == [1, 1, 0]
    assert [found[1, at]["distinct_product_count_ever"] for at in instants[1:]] == [1, 1, 1]


def test_only_who_paid_has_a_basket(warehouse):
    load(
        warehouse,
        [
            Order(1, None, AT - DAY, lines=(Line(1),)),
            Order(2, 2, None, lines=(Line(1),)),
            Refund(1, AT - DAY, customer_id=3),
        ],
    )
    assert baskets(warehouse, [AT]) == {}


def test_several_lines_of_a_product_in_an_order_are_one_purchase_of_it_and_many_lines(warehouse):
    row = row_of_one(warehouse, order(1, Line(1, 2), Line(1, 3), Line(None), Line(2), Line(7, 9, kind="fee")))
    assert (row["lines_per_order_365d"], row["units_per_order_365d"]) == (4.0, 7.0)
    assert (row["distinct_product_count_ever"], row["product_repeat_share_ever"]) == (2, 0.0)
    assert row["product_concentration_ever"] == (5**2 + 1**2) / 6**2


def test_a_product_is_bought_again_also_when_the_first_time_is_longer_ago_than_the_window(warehouse):
    row = row_of_one(warehouse, order(1, Line(1), paid_at=AT - YEAR * 2), order(2, Line(1), Line(2)))
    assert (row["product_repeat_share_365d"], row["product_repeat_share_ever"]) == (1 / 2, 1 / 3)


def test_of_two_orders_at_one_instant_the_second_buys_again(warehouse):
    assert row_of_one(warehouse, order(1, Line(1)), order(2, Line(1)))["product_repeat_share_365d"] == 1 / 2


def test_the_favourite_of_equals_is_the_first_by_name_byte_by_byte(warehouse):
    names = ("ärmel", "tea", "Zubehör")
    facts = [Version(number, (name,)) for number, name in enumerate(names)]
    row = row_of_one(warehouse, *facts, order(1, Line(0), Line(1), Line(2)))
    assert (row["favourite_category_365d"], row["favourite_category_share_365d"]) == ("Zubehör", 1 / 3)
    assert row["distinct_category_count_365d"] == 3


def test_a_product_counts_for_each_of_its_categories_once(warehouse):
    row = row_of_one(warehouse, Version(1, ("Tea", "Gifts", "Tea")), order(1, Line(1), Line(2), Line(None)))
    assert row["distinct_category_count_365d"] == 2
    assert (row["favourite_category_365d"], row["favourite_category_share_365d"]) == ("Gifts", 1 / 3)


def test_all_purchases_of_a_product_move_with_it_to_another_category_when_that_is_known(warehouse):
    """The catalogue itself is changed, as a load would do it."""
    load(warehouse, [order(1, Line(1), paid_at=AT - DAY * 30), order(2, Line(1), paid_at=AT - DAY)])
    warehouse.execute(
        f"""INSERT INTO shop.products VALUES (1, NULL, 'p', 1, 'GBP', '["Tea"]', '{{}}', NULL, true, NULL,
        {PROVENANCE})"""
    )
    for day, change in ((9, "price = 2"), (5, "categories = '[\"Gifts\"]', stock_status = 'x'"), (3, "name = 'q'")):
        warehouse.execute(f"UPDATE shop.products SET {change}, source_updated_at = %s", (AT - DAY * day,))
    found = baskets(warehouse, [AT - DAY * 9, AT - DAY * 5, AT - DAY * 5 + MICROSECOND, AT])
    assert [row["favourite_category_365d"] for row in found.values()] == ["Tea", "Tea", "Gifts", "Gifts"]
    assert {row["distinct_category_count_365d"] for row in found.values()} == {1}


def test_discounts_are_set_against_what_products_would_have_cost(warehouse):
    row = row_of_one(
        warehouse,
        order(1, Line(1, 2, Decimal(30)), Line(None, 1, Decimal(5), "shipping"), discount=Decimal(10)),
        order(2, Line(1, 1, Decimal(60))),
        order(3, Line(2), paid_at=AT - YEAR - MICROSECOND, discount=Decimal(90)),
    )
    assert (row["discounted_order_share_365d"], row["discount_share_365d"]) == (1 / 2, 10 / 100)
    assert row["average_unit_price_365d"] == 90 / 3


def test_refunds_count_for_their_customer_and_an_order_is_refunded_by_its_own_customer_alone(warehouse):
    load(
        warehouse,
        [
            *(order(customer, Line(1), customer=customer, amount=Decimal(10)) for customer in CUSTOMERS),
            order(4, Line(1), paid_at=AT - YEAR - DAY, amount=Decimal(10)),
            Refund(1, AT - DAY, Decimal(4), order_id=1),
            Refund(2, AT - DAY, Decimal(5), order_id=1, customer_id=1),
            Refund(3, AT - DAY, Decimal(3), order_id=1, customer_id=2),
            Refund(4, AT - YEAR - MICROSECOND, Decimal(2), order_id=4),
            Refund(5, AT, Decimal(9), order_id=3),
        ],
    )
    found = baskets(warehouse, [AT])
    assert [found[customer, AT]["refunded_value_share_365d"] for customer in CUSTOMERS] == [0.9, 0.3, 0.0]
    assert [found[customer, AT]["refunded_order_share_ever"] for customer in CUSTOMERS] == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", [1, 2])
def test_facts_at_or_after_a_snapshot_and_edits_of_what_is_no_fact_change_nothing(warehouse, seed):
    rng = random.Random(seed)
    facts = random_facts(rng, start=AT - DAY * 60, days=59)
    past = [fact for fact in facts if (instant := instant_of(fact)) is None or instant < AT]
    load(warehouse, past)
    snapshots = [AT - DAY * 20, AT]
    before = in_full(baskets(warehouse, snapshots))
    for number in range(10_000, 10_050):
        instant = AT + MICROSECOND * number + rng.choice((0 * DAY, DAY, YEAR))
        owner = rng.choice((1, 2, 3, None))
        load(warehouse, [Order(number, owner, instant, Decimal(999), Decimal(5), (Line(1, 9), Line(2)))])
        load(warehouse, [Refund(number, instant, Decimal(555), rng.choice((1, 2, 3, number)), owner)])
        load(warehouse, [Version(rng.choice((1, 2, 3)), ("Later",), instant)])
    load(warehouse, [Order(9_999, 1, AT, lines=(Line(1),)), Refund(9_999, AT, order_id=1), Version(4, ("Now",), AT)])
    warehouse.execute("UPDATE shop.orders SET status = 'refunded', completed_at = %s, ingested_at = now()", (AT,))
    assert len(before) >= 5
    assert in_full(baskets(warehouse, snapshots)) == before


def test_keys_and_snapshots_wanted_alone_give_the_same_rows_as_all_of_them(warehouse):
    facts = random_facts(random.Random(7), start=AT - DAY * 60, days=80)
    load(warehouse, facts)
    snapshots = [AT + DAY * number for number in (*range(-30, 10), *range(330, 370))]
    assert assert_alone_as_together(warehouse, CUSTOMER_BASKET, snapshots[::4], (*CUSTOMERS, 4)) >= 10
    assert baskets(warehouse, snapshots, (4,)) == {}


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland"])
def test_the_session_s_time_zone_changes_nothing(warehouse, zone):
    facts = random_facts(random.Random(3), start=datetime(2023, 3, 1, tzinfo=UTC), days=45)
    load(warehouse, facts)
    warehouse.execute(f"SET timezone = '{zone}'")
    hours = timedelta(hours=6)
    snapshots = [datetime(2024, 2, 29, tzinfo=UTC) + hours * number for number in range(180)]  # the year ends in them
    assert assert_as_plainly_computed(warehouse, facts, snapshots) >= 400
