"""What the view `customer_engagement` says, against the plain computation of each feature from the events."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.features.definitions.check import check_against_database
from include.features.views.customer_engagement import CUSTOMER_ENGAGEMENT
from tests.integration.oracle_customer_engagement import (
    ADD,
    CHECKOUT,
    DAY,
    MICROSECOND,
    MINUTE,
    NAMES,
    ORDER,
    VIEW,
    Event,
    load,
    plain_engagement,
    random_events,
)
from tests.integration.view_rows import Rows, assert_alone_as_together, assert_rows_are, in_full, rows_of
from tests.properties import examples

AT = datetime(2024, 6, 3, tzinfo=UTC)
CUSTOMERS = (1, 2, 3, 4)


def engagement(conn, snapshots: list[datetime], customers: tuple[int, ...] = CUSTOMERS) -> Rows:
    return rows_of(conn, CUSTOMER_ENGAGEMENT, snapshots, customers)


def row_of_one(conn, *events: Event, at: datetime = AT) -> dict:
    load(conn, events)
    return engagement(conn, [at], (1,))[1, at]


def assert_as_plainly_computed(conn, events: list[Event], snapshots: list[datetime]) -> int:
    return assert_rows_are(engagement(conn, snapshots), plain_engagement, events, CUSTOMERS, snapshots)


def test_the_query_is_what_the_definition_says_and_sees_no_future(warehouse):
    check_against_database(warehouse, CUSTOMER_ENGAGEMENT)


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_a_range_of_midnights_equals_the_plain_computation(warehouse, seed):
    events = random_events(random.Random(seed), start=AT - DAY * 130, days=190, visits=160)
    load(warehouse, events)
    assert assert_as_plainly_computed(warehouse, events, [AT + DAY * number for number in range(-40, 70)]) >= 400


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_any_instants_with_gaps_equals_the_plain_computation(warehouse, seed):
    rng = random.Random(100 + seed)
    events = random_events(rng, start=AT - DAY * 130, days=140, visits=120)
    steps = (MICROSECOND * 0, MICROSECOND, MINUTE, 30 * MINUTE, DAY * 7, DAY * 30, DAY * 30 + MICROSECOND, DAY * 90)
    chosen = {event.occurred_at + rng.choice(steps) for event in rng.sample(events, 40)}
    load(warehouse, events)
    assert assert_as_plainly_computed(warehouse, events, sorted(chosen)) >= 80


INSTANTS = st.builds(
    lambda days, minutes, microseconds: AT - days * DAY + minutes * MINUTE + MICROSECOND * microseconds,
    st.sampled_from((0, 0, 1, 7, 30, 90)),
    st.integers(-8, 8).map(lambda number: 10 * number),
    st.sampled_from((-1, 0, 0, 0, 1)),
)
EVENTS = st.builds(Event, INSTANTS, st.sampled_from(NAMES), st.just(1), st.sampled_from((None, 1, 2)))


@examples(40)
@given(
    events=st.lists(EVENTS, max_size=14), snapshots=st.lists(INSTANTS, min_size=1, max_size=6, unique=True).map(sorted)
)
def test_any_few_visits_equal_the_plain_computation(warehouse, events, snapshots):
    with warehouse.transaction(force_rollback=True):
        load(warehouse, events)
        assert_as_plainly_computed(warehouse, events, snapshots)


def test_an_event_is_seen_from_one_microsecond_after_it_on(warehouse):
    load(warehouse, [Event(AT)])
    found = engagement(warehouse, [AT, AT + MICROSECOND])
    assert found.keys() == {(1, AT + MICROSECOND)}
    assert found[1, AT + MICROSECOND]["product_viewed_count_7d"] == 1


@pytest.mark.parametrize(
    ("days", "names"),
    [
        (7, ("product_viewed_count_7d",)),
        (30, ("product_viewed_count_30d", "session_count_30d", "distinct_viewed_product_count_30d")),
        (90, ("product_viewed_count_90d", "session_count_90d")),
    ],
)
def test_a_window_holds_its_first_instant_and_no_earlier_one(warehouse, days, names):
    load(warehouse, [Event(AT - DAY * days, product_id=1), Event(AT - DAY * days - MICROSECOND, customer_id=2)])
    found = engagement(warehouse, [AT])
    assert [found[1, AT][name] for name in names] == [1] * len(names)
    assert [found[2, AT][name] for name in names] == [0] * len(names)


@pytest.mark.parametrize(("pause", "count"), [(30 * MINUTE - MICROSECOND, 1), (30 * MINUTE, 2)])
def test_a_session_ends_when_half_an_hour_has_passed_without_an_event(warehouse, pause, count):
    assert row_of_one(warehouse, Event(AT - DAY), Event(AT - DAY + pause))["session_count_30d"] == count


def test_a_visit_across_midnight_is_one_session_and_judged_by_what_was_before_it(warehouse):
    load(warehouse, [Event(AT - MINUTE, ADD), Event(AT + MINUTE, CHECKOUT), Event(AT + 2 * MINUTE, ORDER)])
    found = engagement(warehouse, [AT, AT + DAY])
    names = ("session_count_30d", "cart_abandonment_share_30d", "session_conversion_share_30d")
    assert [found[1, AT][name] for name in names] == [1, 1.0, 0.0]
    assert [found[1, AT + DAY][name] for name in names] == [1, 0.0, 1.0]


def test_a_session_that_goes_on_into_the_window_began_before_it(warehouse):
    edge = AT - DAY * 30
    row = row_of_one(warehouse, Event(edge - MINUTE, ADD), Event(edge + MINUTE, ORDER))
    assert (row["session_count_30d"], row["session_conversion_share_30d"]) == (0, None)
    assert (row["order_completed_count_30d"], row["product_added_count_30d"]) == (1, 0)
    assert (row["session_count_90d"], row["session_conversion_share_90d"]) == (1, 1.0)


def test_a_visit_that_never_ends_leaves_the_windows_with_its_beginning(warehouse):
    events = [Event(AT + number * 29 * MINUTE) for number in range(1700)]  # 34 days
    events += [Event(AT + DAY * 32, ADD), Event(AT + DAY * 33, ORDER)]
    load(warehouse, events)
    assert assert_as_plainly_computed(warehouse, events, [AT + DAY * number for number in range(20, 130)]) == 110


@pytest.mark.parametrize(
    ("names", "abandoned", "converted"),
    [
        ((ADD, ORDER), 0.0, 1.0),
        ((CHECKOUT, ORDER), 0.0, 1.0),
        ((ADD, CHECKOUT), 1.0, 0.0),
        ((ORDER, ADD), 1.0, 1.0),
        ((ADD, ORDER, ADD), 0.0, 1.0),
        ((ORDER, ADD, ORDER), 0.0, 1.0),
        ((VIEW, ORDER), None, 1.0),
        ((VIEW,), None, 0.0),
    ],
)
def test_a_cart_is_abandoned_unless_an_order_follows_the_first_thing_put_into_it(
    warehouse, names, abandoned, converted
):
    row = row_of_one(warehouse, *(Event(AT - DAY + MINUTE * number, name) for number, name in enumerate(names)))
    assert (row["cart_abandonment_share_90d"], row["session_conversion_share_90d"]) == (abandoned, converted)


def test_an_order_at_the_instant_of_the_cart_follows_it(warehouse):
    assert row_of_one(warehouse, Event(AT - DAY, ORDER), Event(AT - DAY, ADD))["cart_abandonment_share_30d"] == 0.0


def test_an_order_of_the_next_session_leaves_the_cart_abandoned(warehouse):
    row = row_of_one(warehouse, Event(AT - DAY, ADD), Event(AT - DAY + 30 * MINUTE, ORDER))
    assert (row["cart_abandonment_share_30d"], row["session_conversion_share_30d"]) == (1.0, 0.5)


def test_a_product_viewed_again_counts_once_and_views_without_a_product_count_for_none(warehouse):
    events = [Event(AT - DAY * number, product_id=7) for number in (1, 2, 29, 31)]
    events += [Event(AT - DAY, ADD, product_id=8), Event(AT - DAY), Event(AT - DAY * 31, product_id=9)]
    assert row_of_one(warehouse, *events)["distinct_viewed_product_count_30d"] == 1


def test_events_of_nobody_and_of_others_are_nobodys(warehouse):
    load(warehouse, [Event(AT - DAY, customer_id=None), Event(AT - DAY, customer_id=9)])
    assert engagement(warehouse, [AT]) == {}


def test_whoever_was_there_once_stays_and_comes_to_have_nothing_in_the_windows(warehouse):
    row = row_of_one(warehouse, Event(AT - DAY * 400, ADD))
    assert row["days_since_last_visit"] == 400.0
    assert {value for name, value in row.items() if name != "days_since_last_visit"} == {0, None}


def test_events_at_or_after_the_snapshot_and_edits_that_no_feature_may_see_change_no_byte(warehouse):
    rng = random.Random(3)
    events = random_events(rng, start=AT - DAY * 110, days=120, visits=100)
    earlier = [event for event in events if event.occurred_at < AT]
    load(warehouse, earlier)
    before = in_full(engagement(warehouse, [AT]))
    later = [replace(event, occurred_at=AT + (event.occurred_at - AT) / 50) for event in events if event not in earlier]
    visit_goes_on = [Event(event.occurred_at + 2 * MINUTE, ORDER, event.customer_id) for event in earlier]
    ongoing = [event for event in visit_goes_on if event.occurred_at >= AT]
    at_once = [Event(AT, name, customer, 3) for name in NAMES for customer in CUSTOMERS]
    load(warehouse, later + ongoing + at_once, prefix="later")
    warehouse.execute("UPDATE shop.events SET source_updated_at = %s, ingested_at = %s", (AT + DAY, AT + DAY))
    warehouse.execute(
        "UPDATE shop.events SET event_name = 'Order Completed', product_id = 77 WHERE occurred_at >= %s", (AT,)
    )
    assert len(before) == 4 and later and at_once
    assert in_full(engagement(warehouse, [AT])) == before


def test_customers_and_snapshots_wanted_alone_get_the_rows_they_get_among_others(warehouse):
    rng = random.Random(4)
    load(warehouse, random_events(rng, start=AT - DAY * 130, days=170, visits=150))
    snapshots = sorted({AT + DAY * rng.randrange(40) + DAY * rng.choice((0, 0, 0.3)) for _ in range(14)})
    assert assert_alone_as_together(warehouse, CUSTOMER_ENGAGEMENT, snapshots, CUSTOMERS) == 4 * len(snapshots)


def test_a_session_of_the_database_in_a_zone_with_summer_time_gets_the_same_rows(warehouse):
    load(warehouse, random_events(random.Random(5), start=AT - DAY * 130, days=140, visits=100))
    snapshots = [AT + timedelta(hours=6 * number) for number in range(40)]
    in_utc = in_full(engagement(warehouse, snapshots))
    warehouse.execute("SET timezone = 'Europe/London'")  # summer time began on 2024-03-31
    assert in_full(engagement(warehouse, snapshots)) == in_utc


def test_without_events_customers_or_snapshots_there_are_no_rows(warehouse):
    assert engagement(warehouse, [AT]) == {}
    load(warehouse, [Event(AT - DAY)])
    assert engagement(warehouse, [AT], ()) == {}
    assert engagement(warehouse, []) == {}
