"""The way from a view to an order, by session and by customer, equals one that is walked event by event."""

from __future__ import annotations

import random
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from psycopg import Connection
from psycopg.rows import dict_row

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.window import Window
from tests.integration.oracle_funnel import LONGEST, STEPS, Event, load, plain_funnel, random_events

START = datetime(2024, 3, 25, tzinfo=UTC)
"""A Monday before clocks go forward in Europe; they have in New York."""
NOW = datetime(2025, 1, 1, tzinfo=UTC)
MART = MARTS["funnel_daily"]
MICROSECOND = timedelta(microseconds=1)
VIEW, ADD, CHECKOUT, ORDER = STEPS


def refreshed(conn: Connection, time_zone: str = "UTC", *, rebuild: bool = False) -> dict[tuple, dict[str, Any]]:
    window = Window(START, START + timedelta(days=1))
    refresh(conn, MART, window=window, until=None, now=NOW, time_zone=time_zone, rebuild=rebuild)
    conn.commit()
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM analytics.funnel_daily").fetchall()
    return {tuple(row.pop(name) for name in MART.key): row for row in rows}


def assert_same(found: dict[tuple, dict[str, Any]], expected: dict[tuple, dict[str, Any]]) -> None:
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key].keys() == row.keys()
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        others = row.keys() - numbers
        assert {name: found[key][name] for name in numbers} == pytest.approx(numbers, rel=1e-12), key
        assert {name: found[key][name] for name in others} == {name: row[name] for name in others}, key


@pytest.mark.parametrize(("seed", "time_zone"), [(1, "UTC"), (2, "Europe/Berlin"), (3, "America/New_York")])
def test_it_equals_the_way_walked_event_by_event(warehouse, seed, time_zone):
    print(f"seed {seed}")
    events = random_events(seed, start=START, days=14, count=1200)
    load(warehouse, events)
    expected = plain_funnel(events, time_zone)
    assert {key[1:3] for key, row in expected.items() if key[-1] == 4 and row["entered_count"]} == {
        (kind, order) for kind in ("session", "customer") for order in ("strict", "loose")
    }
    assert_same(refreshed(warehouse, time_zone), expected)


@pytest.mark.parametrize("time_zone", ["UTC", "America/New_York"])
def test_events_that_come_and_go_late_change_all_days_that_they_are_felt_on_and_few_others(warehouse, time_zone):
    """Each alone: a refresh that forgot a day that one change is felt on would not be mended by another change."""
    rng = random.Random(time_zone)
    print(f"seed {time_zone}")
    kept = random_events(4, start=START, days=40, count=500)
    late = [kept.pop(rng.randrange(len(kept))) for _ in range(5)]
    load(warehouse, kept)
    refreshed(warehouse, time_zone)
    for event in late:
        load(warehouse, [event])
        kept.append(event)
        assert_same(refreshed(warehouse, time_zone), plain_funnel(kept, time_zone))
        gone = kept.pop(rng.randrange(len(kept)))
        warehouse.execute("DELETE FROM shop.events WHERE event_id = %s", (gone.event_id,))
        assert_same(refreshed(warehouse, time_zone), plain_funnel(kept, time_zone))
    days = "SELECT (details->>'days')::int FROM ops.receipts WHERE step = 'refresh' AND details->>'days' IS NOT NULL"
    assert {count for (count,) in warehouse.execute(days)} <= {9, 11}


@pytest.mark.parametrize("time_zone", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def test_the_longest_ways_are_followed_from_either_end(warehouse, time_zone):
    """A view at the very beginning of a day and an order seven days later; a session that a late event moves by a day.

    Three weeks of them, so that clocks change within some; all ends come late, and the next day those of the sessions.
    """
    zone = ZoneInfo(time_zone)
    views, orders, second, first = [], [], [], []
    for number in range(21):
        midnight = datetime.combine(START.date() + timedelta(days=number), time(), zone).astimezone(UTC)
        views.append(Event(f"v{number}", midnight, VIEW, customer_id=number))
        orders += [
            Event(f"{name}{number}", midnight + timedelta(days=7), name, customer_id=number)
            for name in (ADD, CHECKOUT, ORDER)
        ]
        morning = midnight + timedelta(minutes=30)
        second.append(Event(f"s{number}", morning, VIEW, session=f"session {number}"))
        first.append(Event(f"f{number}", morning - LONGEST["session"] + MICROSECOND, VIEW, session=f"session {number}"))
    known: list[Event] = []
    for number in range(21):
        part = [views[number], second[number]]
        known += part
        load(warehouse, part)
    refreshed(warehouse, time_zone)
    for late in (orders[30:33], [first[5]], orders[:30], first[:5], orders[33:], first[6:]):
        load(warehouse, late)
        known += late
        assert_same(refreshed(warehouse, time_zone), plain_funnel(known, time_zone))


def test_a_session_belongs_to_the_day_on_which_it_begins_however_late_it_ends(warehouse):
    midnight = datetime(2024, 2, 29, tzinfo=UTC)
    load(
        warehouse,
        [
            Event(f"e{number}", midnight + timedelta(minutes=minutes), name, visitor="v")
            for number, (minutes, name) in enumerate([(-20, VIEW), (-5, ADD), (5, CHECKOUT), (15, ORDER)])
        ],
    )
    rows = refreshed(warehouse)
    day = (midnight - timedelta(days=1)).date()
    assert {key[0] for key in rows} == {day}
    assert rows[day, "session", "strict", "direct", "unknown", 4]["median_seconds_from_first"] == 35 * 60


def test_only_customers_that_are_named_have_a_funnel_of_customers(warehouse):
    load(warehouse, [Event("1", START, VIEW, visitor="v"), Event("2", START, VIEW, customer_id=5, visitor="w")])
    rows = refreshed(warehouse)
    counts = {key[1]: row["entered_count"] for key, row in rows.items() if key[-1] == 1 and key[2] == "loose"}
    assert counts == {"session": 2, "customer": 1}


def test_a_shop_without_a_view_has_no_funnel(warehouse):
    load(warehouse, [Event("1", START, ORDER, customer_id=1), Event("2", START, "Product Searched", customer_id=1)])
    assert refreshed(warehouse) == {}
