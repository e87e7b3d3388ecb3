"""What the view `customer_context` says, against the plain computation of each feature from the facts."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.features.definitions.check import check_against_database
from include.features.views.customer_context import CUSTOMER_CONTEXT
from tests.integration.oracle_customer_context import (
    DAY,
    MICROSECOND,
    Close,
    Fact,
    Placed,
    Weather,
    happened_at,
    load,
    plain_context,
    random_world,
)
from tests.integration.view_rows import Rows, assert_alone_as_together, assert_rows_are, in_full, rows_of
from tests.properties import examples

AT = datetime(2024, 6, 3, tzinfo=UTC)
CUSTOMERS = (1, 2, 3, 4, 5)
LONG_AGO = AT - DAY * 400
NEWEST = AT.date() - DAY * 2
"""The last day that had ended before the midnight AT: the one between ends at it."""


def context(conn, snapshots: list[datetime], customers: tuple[int, ...] = CUSTOMERS) -> Rows:
    return rows_of(conn, CUSTOMER_CONTEXT, snapshots, customers)


def row_of_one(conn, *facts: Fact, country: str = "GB", at: datetime = AT) -> dict[str, Any]:
    load(conn, [Placed(1, LONG_AGO, country), *facts])
    return context(conn, [at], (1,))[1, at]


def assert_as_plainly_computed(conn, facts: list[Fact], snapshots: list[datetime]) -> int:
    return assert_rows_are(
        context(conn, snapshots), plain_context, facts, CUSTOMERS, snapshots, assert_same=assert_same
    )


def assert_same(found: dict[str, Any], expected: dict[str, Any], *, where: object) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, float):
            assert isinstance(found[name], float), (where, name, value)
            assert math.isclose(found[name], value, rel_tol=1e-12, abs_tol=1e-15), (where, name, found[name], value)
        else:
            assert found[name] == value, (where, name)


def test_the_query_is_what_the_definition_says_and_sees_no_future(warehouse):
    check_against_database(warehouse, CUSTOMER_CONTEXT)


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_a_range_of_midnights_equals_the_plain_computation(warehouse, seed):
    facts = random_world(random.Random(seed), start=AT - DAY * 45, days=80)
    load(warehouse, facts)
    assert assert_as_plainly_computed(warehouse, facts, [AT + DAY * number for number in range(-45, 70)]) >= 400


@pytest.mark.parametrize("seed", range(4))
def test_every_feature_at_any_instants_with_gaps_equals_the_plain_computation(warehouse, seed):
    rng = random.Random(100 + seed)
    facts = random_world(rng, start=AT - DAY * 45, days=60)
    steps = (MICROSECOND * 0, MICROSECOND, DAY / 3, DAY * 7, DAY * 7 + MICROSECOND, DAY * 30, DAY * 30 + MICROSECOND)
    chosen = {happened_at(fact) + rng.choice(steps) for fact in rng.sample(facts, 60)}
    load(warehouse, facts)
    assert assert_as_plainly_computed(warehouse, facts, sorted(chosen)) >= 120


DAYS = st.sampled_from([AT.date() - DAY * number for number in (1, 2, 3, 8, 9, 31, 32)])
SNAPSHOTS = st.sampled_from([AT, AT - MICROSECOND, AT + MICROSECOND, AT - DAY, AT + DAY * 6, AT + DAY * 29])
DEGREES = st.one_of(st.none(), st.integers(-400, 400).map(lambda tenths: tenths / 10))
WEATHER = st.builds(
    Weather, st.sampled_from("abc"), DAYS, st.sampled_from((None, "GB")), DEGREES, st.sampled_from((None, 0.0, 1.3))
)
CLOSES = st.builds(Close, st.sampled_from("xy"), DAYS, st.integers(1, 10**9).map(lambda cents: Decimal(cents) / 100))


@examples(40)
@given(
    weather=st.lists(WEATHER, max_size=10, unique_by=lambda each: (each.location, each.day)),
    closes=st.lists(CLOSES, max_size=8, unique_by=lambda each: (each.symbol, each.day)),
    country=st.sampled_from(("GB", "DE")),
    snapshots=st.lists(SNAPSHOTS, min_size=1, unique=True).map(sorted),
)
def test_any_few_days_of_weather_and_prices_equal_the_plain_computation(warehouse, weather, closes, country, snapshots):
    facts = [Placed(1, LONG_AGO, country), *weather, *closes]
    with warehouse.transaction(force_rollback=True):
        load(warehouse, facts)
        assert_as_plainly_computed(warehouse, facts, snapshots)


def test_an_order_is_seen_from_one_microsecond_after_it_was_placed_on_paid_or_not(warehouse):
    load(warehouse, [Placed(1, AT, "GB")])
    found = context(warehouse, [AT, AT + MICROSECOND])
    assert {key: row["country"] for key, row in found.items()} == {(1, AT + MICROSECOND): "GB"}


def test_the_country_is_that_of_the_last_order_that_names_one_of_those_of_one_instant_the_greatest_id(warehouse):
    load(warehouse, [Placed(9, AT - DAY, "DE"), Placed(10, AT - DAY, "FR"), Placed(11, AT - DAY * 2, "GB")])
    load(warehouse, [Placed(12, AT - DAY / 2, None)])
    assert context(warehouse, [AT])[1, AT]["country"] == "FR"


def test_orders_without_a_country_and_those_of_guests_give_no_row(warehouse):
    load(warehouse, [Placed(1, AT - DAY, None), Placed(2, AT - DAY, "GB", customer_id=None)])
    assert context(warehouse, [AT]) == {}


def test_a_day_of_weather_is_seen_when_it_has_ended_and_for_a_week(warehouse):
    load(warehouse, [Placed(1, LONG_AGO, "GB"), Weather("London", AT.date() - DAY, "GB", 21.5, 3.25)])
    instants = [AT, AT + MICROSECOND, AT + DAY * 7, AT + DAY * 7 + MICROSECOND]
    names = ("temperature_max_mean_celsius_7d", "precipitation_sum_mm_7d", "weather_known_day_count_7d")
    found = context(warehouse, instants)
    nothing, all_of_it = [None, None, 0], [21.5, 3.25, 1]
    assert [[found[1, at][name] for name in names] for at in instants] == [nothing, all_of_it, all_of_it, nothing]


def test_a_day_that_the_archive_does_not_have_yet_is_no_known_day(warehouse):
    late = [Weather("London", NEWEST, "GB", None, None), Weather("London", NEWEST - DAY, "GB", None, 2.0)]
    row = row_of_one(warehouse, *late, Weather("London", NEWEST - 2 * DAY, "GB", 18.0, None))
    assert row["temperature_max_mean_celsius_7d"] == 18.0
    assert (row["precipitation_sum_mm_7d"], row["weather_known_day_count_7d"]) == (2.0, 1)


def test_weather_is_the_mean_of_the_countrys_places_and_else_of_those_that_name_no_country(warehouse):
    places = [("London", "GB", 20.0), ("Leeds", "GB", 15.0), ("Paris", "FR", 30.0), ("Zurich", None, 8.0)]
    load(warehouse, [Weather(name, NEWEST, country, degrees, 1.0) for name, country, degrees in places])
    load(warehouse, [Weather("Basel", NEWEST, None, 9.0, 2.0)])
    load(
        warehouse, [Placed(number, LONG_AGO, country, number) for number, country in ((1, "GB"), (2, "FR"), (3, "DE"))]
    )
    found = context(warehouse, [AT])
    assert [found[number, AT]["temperature_max_mean_celsius_7d"] for number in (1, 2, 3)] == [17.5, 30.0, 8.5]
    assert [found[number, AT]["precipitation_sum_mm_7d"] for number in (1, 2, 3)] == [1.0, 1.0, 1.5]


def test_a_place_that_a_country_has_later_changes_nothing_of_the_days_before(warehouse):
    before = row_of_one(warehouse, Weather("Zurich", NEWEST, None, 8.0))
    load(warehouse, [Weather("London", AT.date() - DAY, "GB", 30.0), Weather("London", AT.date(), "GB", 30.0)])
    assert context(warehouse, [AT])[1, AT] == before
    assert before["temperature_max_mean_celsius_7d"] == 8.0


def test_a_country_without_any_place_knows_no_weather(warehouse):
    row = row_of_one(warehouse, Weather("Paris", NEWEST, "FR"))
    assert (row["temperature_max_mean_celsius_7d"], row["precipitation_sum_mm_7d"]) == (None, None)
    assert row["weather_known_day_count_7d"] == 0


def closes(symbol: str, *prices: float) -> list[Close]:
    """Closes of consecutive days, the last of them on the newest day seen at AT."""
    return [Close(symbol, NEWEST - DAY * back, Decimal(str(price))) for back, price in enumerate(reversed(prices))]


def test_return_and_volatility_are_those_of_the_closes_in_the_window(warehouse):
    row = row_of_one(warehouse, *closes("AMZN", 50, 100, 110, 99, 120, 118, 121, 125))
    inside = (100, 110, 99, 120, 118, 121, 125)
    daily = [later / earlier - 1 for earlier, later in pairwise(inside)]
    assert row["market_return_7d"] == pytest.approx(0.25, rel=1e-12)
    assert row["market_volatility_7d"] == pytest.approx(statistics.stdev(daily), rel=1e-12)
    assert row["market_return_30d"] == pytest.approx(1.5, rel=1e-12)
    assert row["market_volatility_30d"] == pytest.approx(statistics.stdev([1.0, *daily]), rel=1e-12)


@pytest.mark.parametrize(
    ("prices", "expected"), [((100,), (None, None)), ((100, 101), (0.01, None)), ((100, 101, 102.01), (0.0201, 0.0))]
)
def test_one_close_has_no_return_and_two_have_no_volatility(warehouse, prices, expected):
    row = row_of_one(warehouse, *closes("AMZN", *prices))
    assert (row["market_return_7d"], row["market_volatility_7d"]) == expected


def test_the_market_is_the_mean_over_the_symbols_that_say_something(warehouse):
    row = row_of_one(warehouse, *closes("AMZN", 100, 110), *closes("EBAY", 100, 130), *closes("ETSY", 7))
    assert row["market_return_7d"] == pytest.approx(0.2, rel=1e-12)


def test_a_trading_day_is_seen_when_it_has_ended(warehouse):
    today = AT.date() - DAY
    load(warehouse, [Placed(1, LONG_AGO, "GB"), *closes("AMZN", 100), Close("AMZN", today, Decimal(150))])
    found = context(warehouse, [AT, AT + MICROSECOND])
    assert [row["market_return_7d"] for row in found.values()] == [None, 0.5]


def test_everybody_has_the_same_market_and_nobodys_weather_is_no_reason_to_lack_it(warehouse):
    load(warehouse, [Placed(1, LONG_AGO, "GB", 1), Placed(2, LONG_AGO, "FR", 2), *closes("AMZN", 100, 150)])
    assert [row["market_return_30d"] for row in context(warehouse, [AT]).values()] == [0.5, 0.5]


def test_facts_at_or_after_the_snapshot_and_edits_that_no_feature_may_see_change_no_byte(warehouse):
    facts = random_world(random.Random(3), start=AT - DAY * 40, days=60)
    load(warehouse, [fact for fact in facts if happened_at(fact) < AT])
    before = in_full(context(warehouse, [AT]))
    later = [fact for fact in facts if happened_at(fact) >= AT]
    load(warehouse, later)
    load(warehouse, [Placed(9000 + customer, AT, "IT", customer) for customer in CUSTOMERS])
    load(warehouse, [Weather("Rome", AT.date() - DAY, "GB", 40.0), Weather("Oslo", AT.date() - DAY, None, 40.0)])
    load(warehouse, [Close("AAAA", AT.date() - DAY, Decimal(1))])
    warehouse.execute("UPDATE shop.orders SET status = 'refunded', paid_at = %s, completed_at = %s", (AT, AT))
    warehouse.execute("UPDATE shop.orders SET country = 'ES' WHERE placed_at >= %s", (AT,))
    warehouse.execute("UPDATE signals.weather_daily SET country = 'GB' WHERE weather_on >= %s", (AT.date() - DAY,))
    warehouse.execute("UPDATE signals.stock_prices_daily SET close_price = 1 WHERE traded_on >= %s", (AT.date() - DAY,))
    for table in ("shop.orders", "signals.weather_daily", "signals.stock_prices_daily"):
        warehouse.execute(f"UPDATE {table} SET source_updated_at = %s, ingested_at = %s", (AT + DAY, AT + DAY))
    assert len(before) == 5 and len(later) > 50
    assert in_full(context(warehouse, [AT])) == before


def test_customers_and_snapshots_wanted_alone_get_the_rows_they_get_among_others(warehouse):
    rng = random.Random(4)
    load(warehouse, random_world(rng, start=AT - DAY * 60, days=90))
    snapshots = sorted({AT + DAY * rng.randrange(40) + DAY * rng.choice((0, 0, 0.3)) for _ in range(14)})
    assert assert_alone_as_together(warehouse, CUSTOMER_CONTEXT, snapshots, CUSTOMERS) == 5 * len(snapshots)


def test_the_order_in_which_facts_were_written_changes_no_byte(warehouse):
    rng = random.Random(6)
    facts: list[Fact] = [Placed(1, LONG_AGO, "GB")]
    for back in range(7):
        day = NEWEST - DAY * back
        facts += [Weather(f"{n}", day, "GB", rng.uniform(-30, 40), rng.uniform(0, 40)) for n in range(40)]
        facts += [Close(f"{n}", day, Decimal(rng.randrange(1, 10**7)) / 10_000) for n in range(40)]
    warehouse.execute("SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off")
    seen = set()
    for _ in range(4):
        with warehouse.transaction(force_rollback=True):
            load(warehouse, rng.sample(facts, len(facts)))
            seen.add(in_full(context(warehouse, [AT]))[1, AT])
    assert len(seen) == 1


def test_a_session_of_the_database_in_a_zone_with_summer_time_gets_the_same_rows(warehouse):
    load(warehouse, random_world(random.Random(5), start=AT - DAY * 90, days=100))
    snapshots = [AT - DAY * 64 + timedelta(hours=6 * number) for number in range(160)]
    in_utc = in_full(context(warehouse, snapshots))
    warehouse.execute("SET timezone = 'Europe/London'")  # summer time began on 2024-03-31
    assert in_full(context(warehouse, snapshots)) == in_utc


def test_without_orders_customers_or_snapshots_there_are_no_rows(warehouse):
    load(warehouse, [Weather("London", NEWEST, "GB"), *closes("AMZN", 100, 150)])
    assert context(warehouse, [AT]) == {}
    load(warehouse, [Placed(1, AT - DAY, "GB")])
    assert context(warehouse, [AT], ()) == {}
    assert context(warehouse, []) == {}


def test_a_day_read_again_with_other_values_gives_other_features(warehouse):
    facts = [Placed(1, LONG_AGO, "GB"), Weather("London", NEWEST, "GB", None)]
    assert row_of_one(warehouse, *facts[1:])["weather_known_day_count_7d"] == 0
    warehouse.execute("UPDATE signals.weather_daily SET temperature_max_celsius = 12.5")
    filled = [facts[0], replace(facts[1], warmest=12.5)]
    assert assert_as_plainly_computed(warehouse, filled, [AT]) == 1
