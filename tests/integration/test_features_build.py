"""History: ranged builds, daily builds in any order, repairs, tombstones, repetition, death in the middle."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from include.entities.window import NaiveTime, Window
from include.features.building import plan
from include.features.building.build import SnapshotInFuture, build_view
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import (
    DAY,
    NOW,
    Event,
    Order,
    Refund,
    all_bytes,
    build_all,
    day,
    instant_of,
    load,
    newest_versions,
    random_facts,
)
from tests.own_database import own_database

KEYS = {name: view.entity.key_names[0] for name, view in FEATURE_VIEWS.items()}
START = day("2024-01-01")
DAYS = 12
RANGE = Window(START, START + DAY * DAYS)
EVERY_DAY = [Window(START + DAY * number, START + DAY * (number + 1)) for number in range(DAYS)]
IN_ANY_ORDER = pytest.mark.parametrize(
    "days",
    [EVERY_DAY, EVERY_DAY[::-1], random.Random(1).sample(EVERY_DAY, DAYS)],
    ids=["forwards", "backwards", "shuffled"],
)


@pytest.fixture
def another_warehouse(postgres_server):
    """A second fresh warehouse, to compare with."""
    with own_database(postgres_server, "compared") as dsn, connect_warehouse(dsn) as conn:
        yield conn


def history(conn, *, with_available_time: bool = False) -> dict[str, list[tuple]]:
    return {
        name: newest_versions(conn, view, with_available_time=with_available_time)
        for name, view in FEATURE_VIEWS.items()
    }


def versions(conn, view_name: str) -> list[tuple]:
    return conn.execute(
        f"""SELECT {KEYS[view_name]}, event_time, available_time, ingested_at, seq, is_tombstone
        FROM features.{view_name} ORDER BY 1, event_time, seq"""
    ).fetchall()


@IN_ANY_ORDER
def test_daily_builds_in_any_order_equal_one_ranged_build_when_nothing_is_late(warehouse, another_warehouse, days):
    facts = random_facts(3, start=START - DAY * 40, days=40 + DAYS)
    for conn in (warehouse, another_warehouse):
        load(conn, facts)
    build_all(warehouse, RANGE)
    for window in days:
        build_all(another_warehouse, window)
    ranged = history(warehouse, with_available_time=True)
    assert all(len(rows) > 50 for rows in ranged.values())
    assert history(another_warehouse, with_available_time=True) == ranged
    for name in FEATURE_VIEWS:
        assert len(versions(another_warehouse, name)) == len(ranged[name])  # no corrections


def test_keys_that_are_taken_part_by_part_give_the_same_history(warehouse, another_warehouse, monkeypatch):
    facts = random_facts(3, start=START - DAY * 40, days=40 + DAYS)
    for conn in (warehouse, another_warehouse):
        load(conn, facts)
    build_all(warehouse, RANGE)
    monkeypatch.setattr(plan, "ROWS_AT_ONCE", 3 * DAYS)
    build_all(another_warehouse, RANGE)
    assert history(another_warehouse, with_available_time=True) == history(warehouse, with_available_time=True)
    received = "SELECT entity, received, inserted FROM ops.receipts WHERE step = 'build' ORDER BY entity"
    assert another_warehouse.execute(received).fetchall() == warehouse.execute(received).fetchall()


@IN_ANY_ORDER
def test_loading_and_building_day_by_day_in_any_order_ends_like_one_ranged_run(warehouse, another_warehouse, days):
    facts = random_facts(8, start=START, days=DAYS, count=60)
    load(warehouse, facts)
    build_all(warehouse, RANGE)
    for number, window in enumerate(days):
        load(another_warehouse, [fact for fact in facts if window.start <= _loaded_on(fact) < window.end])
        build_all(another_warehouse, window, now=NOW + timedelta(hours=number))
    expected = history(warehouse)
    assert all(len(rows) > 20 for rows in expected.values())
    assert history(another_warehouse) == expected


def _loaded_on(fact) -> datetime:
    instant = instant_of(fact)
    return instant if instant >= START else START


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_late_facts_are_repaired_in_every_snapshot_after_them(warehouse, another_warehouse, seed):
    facts = random_facts(seed, start=START, days=DAYS, count=60)
    rng = random.Random(seed)
    late = [fact for fact in facts if rng.random() < 0.2]
    load(another_warehouse, facts)
    build_all(another_warehouse, RANGE)

    load(warehouse, [fact for fact in facts if fact not in late])
    build_all(warehouse, RANGE)
    first = {name: set(versions(warehouse, name)) for name in FEATURE_VIEWS}
    incomplete = history(warehouse)
    load(warehouse, late)
    corrected_at = NOW + DAY
    last_day = EVERY_DAY[-1]
    build_all(warehouse, last_day, now=corrected_at)

    complete = history(another_warehouse)
    assert history(warehouse) == complete != incomplete
    for name in FEATURE_VIEWS:
        now_there = set(versions(warehouse, name))
        assert first[name] <= now_there
        added = now_there - first[name]
        assert bool(added) == (complete[name] != incomplete[name])
        assert {(row[2], row[3]) for row in added} <= {(corrected_at, corrected_at)}


def test_a_customer_who_turns_up_late_was_not_known_before(warehouse):
    """Its first row in a snapshot built earlier is a correction, not something known at the time."""
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, RANGE)
    load(warehouse, [Order(2, 2, START + DAY)])
    build_all(warehouse, Window(RANGE.end, RANGE.end + DAY), now=NOW + DAY)
    rows = [row for row in versions(warehouse, "customer_activity") if row[0] == 2]
    assert len(rows) == DAYS  # snapshots 3 to 12 are corrections, the thirteenth is new
    assert {row[2] for row in rows if row[1] <= RANGE.end} == {NOW + DAY}
    assert {row[2] for row in rows if row[1] > RANGE.end} == {RANGE.end + DAY}


def test_a_snapshot_at_which_nobody_had_features_is_repaired_too(warehouse):
    load(warehouse, [Order(1, 1, START + DAY * 3)])
    build_all(warehouse, RANGE)
    load(warehouse, [Order(2, 2, START)])
    build_all(warehouse, EVERY_DAY[-1], now=NOW + DAY)
    assert {row[1] for row in versions(warehouse, "customer_rfm") if row[0] == 2} == {
        START + DAY * number for number in range(1, DAYS + 1)
    }


def test_a_row_no_longer_produced_gets_a_tombstone_and_can_come_back(warehouse):
    load(warehouse, [Order(1, 1, START), Order(2, 2, START)])
    build_all(warehouse, EVERY_DAY[0])
    warehouse.execute("UPDATE shop.orders SET customer_id = NULL WHERE order_id = 2")
    warehouse.commit()
    receipts = build_all(warehouse, EVERY_DAY[0], now=NOW + DAY)
    for name in ("customer_rfm", "customer_activity"):
        assert [row[5] for row in versions(warehouse, name) if row[0] == 2] == [False, True]
        assert receipts[name].details["tombstones"] == 1
    build_all(warehouse, EVERY_DAY[0], now=NOW + DAY * 2)
    assert len([row for row in versions(warehouse, "customer_rfm") if row[0] == 2]) == 2

    warehouse.execute("UPDATE shop.orders SET customer_id = 2 WHERE order_id = 2")
    warehouse.commit()
    build_all(warehouse, EVERY_DAY[0], now=NOW + DAY * 3)
    assert [row[5] for row in versions(warehouse, "customer_rfm") if row[0] == 2] == [False, True, False]


def test_building_again_writes_nothing(warehouse):
    load(warehouse, random_facts(4, start=START, days=DAYS))
    first = build_all(warehouse, RANGE)
    before = all_bytes(warehouse)
    again = build_all(warehouse, RANGE, now=NOW + DAY)
    build_all(warehouse, EVERY_DAY[3], now=NOW + DAY)
    assert all_bytes(warehouse) == before
    assert {receipt.received for receipt in again.values()} == {0}
    rebuilt = {
        name: build_view(warehouse, view, RANGE, now=NOW + DAY, rebuild=True) for name, view in FEATURE_VIEWS.items()
    }
    assert all_bytes(warehouse) == before
    for name, receipt in rebuilt.items():
        assert receipt.unchanged == receipt.received == first[name].inserted > 0


def test_receipts_of_builds_say_what_was_written(warehouse):
    load(warehouse, [Order(1, 1, START), Order(2, 2, START)])
    build_all(warehouse, Window(START, START + DAY * 2))
    load(warehouse, [Refund(1, START + DAY, Decimal(1), customer_id=1)])
    receipt = build_view(warehouse, CUSTOMER_ACTIVITY, EVERY_DAY[2], now=NOW + DAY)
    assert (receipt.received, receipt.inserted, receipt.updated, receipt.unchanged) == (4, 2, 1, 1)
    assert receipt.details["snapshots"] == receipt.details["rebuilt_snapshots"] == 1
    stored = warehouse.execute(
        "SELECT received, inserted, updated FROM ops.receipts WHERE step = 'build' ORDER BY receipt_id DESC LIMIT 1"
    ).fetchone()
    assert stored == (4, 2, 1)
    assert str(receipt).startswith("build_customer_activity window=2024-01-03/2024-01-04 received=4 inserted=2")


def test_exactly_the_touched_keys_are_taken_again_at_exactly_the_snapshots_that_feel_it(warehouse):
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    build_all(warehouse, RANGE)
    load(warehouse, [Event("late", 3, START + DAY * 4)])
    receipts = build_all(warehouse, EVERY_DAY[-1])
    activity = receipts["customer_activity"].details
    assert (activity["repaired_pairs"], activity["rebuilt_snapshots"]) == (DAYS - 4, 0)
    assert receipts["customer_activity"].updated == DAYS - 4
    rfm = receipts["customer_rfm"].details
    assert (rfm["repaired_pairs"], rfm["rebuilt_snapshots"]) == (0, 0), "it reads no events"


def test_of_a_ranked_view_all_keys_are_taken_again(warehouse):
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    build_all(warehouse, RANGE)
    load(warehouse, [Order(11, 3, START + DAY * 4)])
    rfm = build_all(warehouse, EVERY_DAY[-1])["customer_rfm"]
    assert (rfm.details["repaired_pairs"], rfm.details["rebuilt_snapshots"]) == (0, DAYS - 4)
    assert rfm.received == 10 * (DAYS - 4)


def test_where_most_keys_are_touched_all_are_taken_again(warehouse):
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    build_all(warehouse, RANGE)
    load(warehouse, [Event(f"late-{number}", number, START + DAY * 4) for number in range(1, 4)])
    details = build_all(warehouse, EVERY_DAY[-1])["customer_activity"].details
    assert (details["repaired_pairs"], details["rebuilt_snapshots"]) == (0, DAYS - 4)


def test_a_change_of_what_features_may_not_see_touches_nobody(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, RANGE)
    warehouse.execute("UPDATE shop.orders SET status = 'refunded', ingested_at = now()")
    warehouse.commit()
    assert {receipt.received for receipt in build_all(warehouse, EVERY_DAY[-1]).values()} == {0}


def test_a_load_that_began_early_and_committed_late_is_taken_in(warehouse, warehouse_dsn):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, RANGE)
    with psycopg.connect(warehouse_dsn) as slow:
        slow.execute("SELECT pg_current_xact_id()")
        load(warehouse, [Order(3, 1, START + DAY * 9)])
        build_all(warehouse, EVERY_DAY[-1], now=NOW + DAY)
        load(slow, [Order(2, 2, START + DAY)])
    build_all(warehouse, EVERY_DAY[-1], now=NOW + DAY * 2)
    assert {row[1] for row in versions(warehouse, "customer_rfm") if row[0] == 2} == {
        START + DAY * number for number in range(2, DAYS + 1)
    }


def test_a_build_killed_at_any_statement_leaves_nothing_and_ends_alike_when_run_again(warehouse, another_warehouse):
    facts = random_facts(6, start=START, days=3, count=30)
    late = [Order(900, 3, START)]
    for conn in (warehouse, another_warehouse):
        load(conn, facts)
        build_all(conn, Window(START, START + DAY * 2))
        load(conn, late)
    untouched = all_bytes(warehouse)
    deaths = 0
    for number in range(1, 100):
        dying = _DyingConnection(warehouse, after=number)
        try:
            build_view(dying, CUSTOMER_RFM, EVERY_DAY[2], now=NOW + DAY)  # type: ignore[arg-type]
        except _Killed:
            deaths += 1
            assert all_bytes(warehouse) == untouched
            warehouse.commit()
        else:
            break
    assert deaths > 8
    build_view(another_warehouse, CUSTOMER_RFM, EVERY_DAY[2], now=NOW + DAY)
    assert versions(warehouse, "customer_rfm") == versions(another_warehouse, "customer_rfm")
    assert history(warehouse) == history(another_warehouse)


class _Killed(Exception):
    pass


class _DyingConnection:
    """A real connection whose user dies just before its n-th statement."""

    def __init__(self, conn, *, after: int) -> None:
        self._conn = conn
        self._left = after

    def execute(self, *args, **kwargs):
        self._left -= 1
        if self._left == 0:
            raise _Killed
        return self._conn.execute(*args, **kwargs)

    def __getattr__(self, name: str):
        return getattr(self._conn, name)


def test_corrections_stay_in_order_when_a_clock_runs_behind(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, EVERY_DAY[0], now=NOW)
    load(warehouse, [Order(2, 1, START + timedelta(hours=1))])
    build_all(warehouse, EVERY_DAY[0], now=NOW - timedelta(seconds=5))
    load(warehouse, [Order(3, 1, START + timedelta(hours=2))])
    build_all(warehouse, EVERY_DAY[0], now=NOW - timedelta(seconds=9))
    rows = warehouse.execute(
        "SELECT frequency, ingested_at FROM features.customer_rfm ORDER BY event_time, available_time, seq"
    ).fetchall()
    assert rows == [(1, NOW), (2, NOW), (3, NOW)]


def test_a_view_with_a_lag_is_available_after_it_and_cannot_be_built_sooner(warehouse):
    late_view = replace(CUSTOMER_RFM, lag=timedelta(hours=2))
    load(warehouse, [Order(1, 1, START)])
    with pytest.raises(SnapshotInFuture, match="cannot be known before 2024-01-02T02:00:00"):
        build_view(warehouse, late_view, EVERY_DAY[0], now=START + DAY + timedelta(minutes=119))
    assert versions(warehouse, "customer_rfm") == []
    build_view(warehouse, late_view, EVERY_DAY[0], now=START + DAY + timedelta(hours=2))
    ((_, event_time, available_time, ingested_at, _, _),) = versions(warehouse, "customer_rfm")
    assert (event_time, available_time, ingested_at) == (
        START + DAY, START + DAY + timedelta(hours=2), START + DAY + timedelta(hours=2),
    )  # fmt: skip


def test_a_naive_now_is_refused(warehouse):
    with pytest.raises(NaiveTime, match="no time zone"):
        build_view(warehouse, CUSTOMER_RFM, EVERY_DAY[0], now=datetime(2030, 1, 1))  # noqa: DTZ001


def test_a_window_without_a_midnight_builds_nothing_but_still_repairs(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, EVERY_DAY[0])
    load(warehouse, [Order(2, 2, START)])
    noon = datetime(2024, 1, 5, 12, tzinfo=UTC)
    receipt = build_view(warehouse, CUSTOMER_RFM, Window(noon, noon + timedelta(hours=1)), now=NOW)
    assert (receipt.received, receipt.inserted, receipt.updated) == (2, 0, 1)


def test_builds_of_overlapping_windows_at_once_end_like_one_after_the_other(
    warehouse, warehouse_dsn, another_warehouse
):
    facts = random_facts(9, start=START - DAY * 40, days=40 + DAYS)
    late = random_facts(10, start=START, days=DAYS, count=10)
    late = [replace(fact, event_id=f"late-{number}") for number, fact in enumerate(late) if isinstance(fact, Event)]
    windows = [Window(START, START + DAY * 8), Window(START + DAY * 4, RANGE.end), RANGE]
    for conn in (warehouse, another_warehouse):
        load(conn, facts)
    for window in windows:
        build_all(another_warehouse, window)
    load(another_warehouse, late)
    build_all(another_warehouse, RANGE, now=NOW + DAY)

    def build_beside(window: Window) -> None:
        with connect_warehouse(warehouse_dsn) as conn:
            build_all(conn, window)

    with ThreadPoolExecutor(len(windows)) as at_once:
        list(at_once.map(build_beside, windows))
    load(warehouse, late)
    with ThreadPoolExecutor(len(windows)) as at_once:
        list(at_once.map(build_beside, windows))
    assert history(warehouse) == history(another_warehouse)
    for name in FEATURE_VIEWS:
        rows = [(*row[:2], row[4]) for row in versions(warehouse, name)]
        assert len(set(rows)) == len(rows), "nothing was written twice"


def test_builds_of_two_views_do_not_wait_for_each_other(warehouse, warehouse_dsn):
    load(warehouse, [Order(1, 1, START)])
    with connect_warehouse(warehouse_dsn) as slow, slow.transaction():
        build_view(slow, CUSTOMER_RFM, RANGE, now=NOW)
        warehouse.execute("SET lock_timeout = '20s'")
        assert build_view(warehouse, CUSTOMER_ACTIVITY, RANGE, now=NOW).inserted == DAYS
