"""What the retention policy removes, what it leaves, and that nothing else does; previews of builds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.building.coverage import coverage_of, preview_build
from include.features.definitions.entity import CUSTOMER
from include.features.definitions.versions import current_version
from include.features.registry import FEATURE_VIEWS
from include.features.upkeep.retention import BadPolicy, RetentionPolicy, forget_touches, thin_history
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration.feature_shop import DAY, NOW, Event, Order, build_all, day, load

START = day("2024-01-01")
YEAR = Window(START, START + DAY * 120)
POLICY = RetentionPolicy(daily=DAY * 30, weekly=DAY * 60, monthly=DAY * 90)


@given(age=st.timedeltas(timedelta(0), timedelta(days=4000)))
def test_a_snapshot_stays_as_the_calendar_says(age):
    now = datetime(2030, 5, 17, 13, tzinfo=UTC)
    snapshot = (now - age).replace(hour=0, minute=0, second=0, microsecond=0)
    days = (now - snapshot) / DAY
    on = date(snapshot.year, snapshot.month, snapshot.day)
    expected = days < 30 or (days < 60 and on.isoweekday() == 1) or (days < 90 and on.day == 1)
    assert POLICY.keeps(snapshot, now=now) == expected


def test_a_policy_that_contradicts_itself_is_refused():
    for ages in ((60, 30, 90), (30, 60, 59), (0, 1, 2), (-1, None, None), (None, 10, None)):
        daily, weekly, monthly = (None if age is None else DAY * age for age in ages)
        with pytest.raises(BadPolicy, match="daily <= weekly <= monthly"):
            RetentionPolicy(daily=daily, weekly=weekly, monthly=monthly)


def test_thinning_leaves_what_the_policy_keeps_and_no_build_brings_the_rest_back(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_view(warehouse, CUSTOMER_ACTIVITY, YEAR, now=NOW)
    version, now = current_version(warehouse, CUSTOMER_ACTIVITY), YEAR.end + timedelta(hours=3)
    before = set(warehouse.execute("SELECT h::text, event_time FROM features.customer_activity_v1 AS h").fetchall())
    expected = {row for row in before if POLICY.keeps(row[1], now=now)}
    assert thin_history(warehouse, version, POLICY, now=now) == len(before) - len(expected) > 60
    after = set(warehouse.execute("SELECT h::text, event_time FROM features.customer_activity_v1 AS h").fetchall())
    assert after == expected
    again = build_view(warehouse, CUSTOMER_ACTIVITY, YEAR, now=NOW + DAY)
    load(warehouse, [Event("late", 1, START + timedelta(hours=1))])
    repaired = build_view(warehouse, CUSTOMER_ACTIVITY, YEAR, now=NOW + DAY)
    assert again.received == 0
    assert repaired.received == len(expected)
    coverage = coverage_of(warehouse, CUSTOMER_ACTIVITY, YEAR)
    assert len(coverage.built) == len(expected)
    assert (len(coverage.thinned), coverage.missing) == (len(before) - len(expected), [])


def test_the_newest_snapshot_always_stays(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_view(warehouse, CUSTOMER_RFM, YEAR, now=NOW)
    thin_history(warehouse, current_version(warehouse, CUSTOMER_RFM), POLICY, now=NOW)
    rows = warehouse.execute("SELECT event_time FROM features.customer_rfm_v1").fetchall()
    assert rows == [(YEAR.end,)]


def test_touches_go_when_every_view_that_reads_them_has_taken_them_in(warehouse):
    views = [view for view in FEATURE_VIEWS.values() if view.entity == CUSTOMER]
    load(warehouse, [Order(1, 1, START), Event("e", 1, START)])
    for view in views[:-1]:
        build_view(warehouse, view, Window(START, START + DAY), now=NOW)
    left = set(views[-1].reads)
    forget_touches(warehouse, CUSTOMER)
    sources = {row[0] for row in warehouse.execute("SELECT source FROM features.customer_touches")}
    assert sources == left & {"shop.orders", "shop.order_lines", "shop.events"}
    build_view(warehouse, views[-1], Window(START, START + DAY), now=NOW)
    forget_touches(warehouse, CUSTOMER)
    assert warehouse.execute("SELECT count(*) FROM features.customer_touches").fetchone() == (0,)


def test_a_preview_says_what_the_build_then_does_and_writes_nothing(warehouse):
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    short = Window(START, START + DAY * 5)
    build_all(warehouse, short)
    load(warehouse, [Event("late", 3, START + DAY), Order(12, 3, START + DAY * 2)])
    longer = Window(START, START + DAY * 7)
    for view in FEATURE_VIEWS.values():
        preview = preview_build(warehouse, view, longer)
        assert preview == preview_build(warehouse, view, longer)
        details = build_view(warehouse, view, longer, now=NOW + DAY).details
        assert preview.missing == coverage_of(warehouse, view, Window(short.end, longer.end)).built
        assert len(preview.missing) == details["snapshots"] == 2
        assert (preview.stale_snapshots, preview.stale_pairs) == (
            details["rebuilt_snapshots"], details["repaired_pairs"],
        )  # fmt: skip
        assert preview_build(warehouse, view, longer).missing == []
