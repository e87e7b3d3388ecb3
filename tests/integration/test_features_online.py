"""The online store: what it holds after each publication, and that it answers as history does."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from include.entities.window import NaiveTime, Window
from include.features.build import build_view
from include.features.historical import historical_features
from include.features.online import online_features, publish_online
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration.feature_shop import (
    DAY,
    Order,
    all_bytes,
    build_all,
    day,
    instant_of,
    load,
    random_facts,
    write_load_receipt,
)

START = day("2024-01-01")
DAYS = 10
KEYS = [3, 1, None, 2, 999, 1, 4, 5, 6, 7, 8]
VIEWS = list(FEATURE_VIEWS)
MICROSECOND = timedelta(microseconds=1)
TTL = CUSTOMER_RFM.ttl
assert TTL is not None


def of_day(number: int) -> Window:
    return Window(START + DAY * number, START + DAY * (number + 1))


def publish_all(conn, *, now: datetime) -> dict[str, int]:
    window = Window(now - DAY, now)
    return {name: publish_online(conn, view, window=window, now=now).received for name, view in FEATURE_VIEWS.items()}


def from_history(conn, at: datetime) -> list[dict]:
    spine = pa.table(
        {"customer_id": pa.array(KEYS, pa.int64()), "at": pa.array([at] * len(KEYS), pa.timestamp("us", "UTC"))}
    )
    rows = historical_features(conn, spine, VIEWS).drop_columns(["at"]).to_pylist()
    return [{"key": row.pop("customer_id"), **row} for row in rows]


def assert_online_is_history(conn, *, now: datetime) -> set[str]:
    """Bit for bit, at the publication and later, on both sides of every TTL that runs out."""
    newest = [row[0] for row in conn.execute("SELECT DISTINCT event_time FROM features.customer_rfm_v1_online")]
    edges = [event_time + TTL + step for event_time in newest for step in (-MICROSECOND, timedelta(0), MICROSECOND)]
    statuses: set[str] = set()
    for at in sorted({now, now + MICROSECOND, now + DAY, *(edge for edge in edges if edge >= now)}):
        online = online_features(conn, VIEWS, KEYS, at=at)
        assert online == from_history(conn, at), at
        statuses |= {row["customer_rfm_status"] for row in online}
    return statuses


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("order", ["forwards", "shuffled"])
def test_after_each_publication_online_answers_as_history_does(warehouse, seed, order):
    facts = random_facts(seed, start=START, days=DAYS, count=60)
    rng = random.Random(seed)
    numbers = list(range(DAYS))
    if order == "shuffled":
        rng.shuffle(numbers)
    late = [fact for fact in facts if rng.random() < 0.2]
    now = START + DAY * DAYS
    statuses: set[str] = set()
    for number in numbers:
        window, now = of_day(number), now + timedelta(hours=1)
        load(warehouse, [f for f in facts if f not in late and window.start <= max(instant_of(f), START) < window.end])
        build_all(warehouse, window, now=now)
        publish_all(warehouse, now=now)
        statuses |= assert_online_is_history(warehouse, now=now)
    load(warehouse, late)
    build_all(warehouse, of_day(0), now=now + DAY)
    publish_all(warehouse, now=now + DAY)
    statuses |= assert_online_is_history(warehouse, now=now + DAY)
    assert statuses == {"present", "not found", "outside ttl"}


def test_an_old_window_published_later_overwrites_nothing(warehouse):
    load(warehouse, [Order(1, 1, START), Order(2, 1, START + DAY * 5)])
    now = START + DAY * 9
    build_all(warehouse, of_day(6), now=now)
    publish_all(warehouse, now=now)
    (before,) = online_features(warehouse, VIEWS, [1], at=now)
    build_all(warehouse, of_day(1), now=now)
    receipt = publish_online(warehouse, CUSTOMER_RFM, window=of_day(1), now=now)
    assert (receipt.received, receipt.stale, receipt.inserted, receipt.updated) == (1, 1, 0, 0)
    assert online_features(warehouse, VIEWS, [1], at=now) == [before]


def test_a_late_correction_of_the_newest_snapshot_arrives_online(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(3), now=START + DAY * 4)
    publish_all(warehouse, now=START + DAY * 4)
    load(warehouse, [Order(2, 1, START + DAY)])
    build_all(warehouse, of_day(1), now=START + DAY * 5)  # an old window; the repair reaches the newest snapshot
    assert publish_all(warehouse, now=START + DAY * 5) == {"customer_rfm": 1, "customer_activity": 1}
    (row,) = online_features(warehouse, ["customer_rfm:frequency"], [1], at=START + DAY * 5)
    assert row == {"key": 1, "frequency": 2, "customer_rfm_status": "present"}


def test_a_tombstone_is_published_and_read_as_not_found(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    publish_all(warehouse, now=START + DAY)
    warehouse.execute("DELETE FROM shop.orders")
    write_load_receipt(warehouse, "orders", oldest=START)
    warehouse.commit()
    build_all(warehouse, of_day(0), now=START + DAY * 2)
    publish_all(warehouse, now=START + DAY * 2)
    (row,) = online_features(warehouse, ["customer_rfm:frequency"], [1], at=START + DAY * 2)
    assert row == {"key": 1, "frequency": None, "customer_rfm_status": "not found"}
    assert_online_is_history(warehouse, now=START + DAY * 2)


def test_what_was_not_yet_known_is_not_answered(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    publish_all(warehouse, now=START + DAY)
    (row,) = online_features(warehouse, VIEWS, [1], at=START + DAY - MICROSECOND)
    assert row["customer_rfm_status"] == "not found"
    assert row["recency_days"] is None


def test_a_correction_is_not_answered_for_instants_before_it_was_known(warehouse):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    load(warehouse, [Order(2, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY * 2)
    publish_all(warehouse, now=START + DAY * 2)
    asked = ["customer_rfm:frequency"]
    (before,) = online_features(warehouse, asked, [1], at=START + DAY * 2 - MICROSECOND)
    (after,) = online_features(warehouse, asked, [1], at=START + DAY * 2)
    assert before == {"key": 1, "frequency": None, "customer_rfm_status": "not found"}
    assert after == {"key": 1, "frequency": 2, "customer_rfm_status": "present"}


def test_publishing_again_writes_nothing(warehouse):
    load(warehouse, random_facts(1, start=START, days=DAYS))
    now = START + DAY * DAYS
    build_all(warehouse, Window(START, now), now=now)
    assert all(count > 5 for count in publish_all(warehouse, now=now).values())
    before = all_bytes(warehouse)
    assert publish_all(warehouse, now=now + DAY) == {"customer_rfm": 0, "customer_activity": 0}
    assert all_bytes(warehouse) == before


def test_a_view_never_built_publishes_nothing_and_answers_not_found(warehouse):
    assert publish_all(warehouse, now=START) == {"customer_rfm": 0, "customer_activity": 0}
    assert [row["customer_activity_status"] for row in online_features(warehouse, VIEWS, [1, None], at=START)] == [
        "not found", "not found",
    ]  # fmt: skip


def test_naive_times_and_keys_of_another_type_are_refused(warehouse):
    with pytest.raises(NaiveTime):
        online_features(warehouse, VIEWS, [1], at=datetime(2024, 1, 1))  # noqa: DTZ001
    with pytest.raises(NaiveTime):
        publish_online(warehouse, CUSTOMER_RFM, window=of_day(0), now=datetime(2024, 1, 1))  # noqa: DTZ001
    for key in ("1", 1.0, True):
        with pytest.raises(TypeError, match="Keys are integers"):
            online_features(warehouse, VIEWS, [1, key], at=START)  # type: ignore[list-item]


def test_a_build_and_a_publication_of_one_view_wait_for_each_other(warehouse, warehouse_dsn):
    import psycopg

    load(warehouse, [Order(1, 1, START)])
    with psycopg.connect(warehouse_dsn, options="-c lock_timeout=200ms") as other, warehouse.transaction():
        build_view(warehouse, CUSTOMER_RFM, of_day(0), now=START + DAY)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            publish_online(other, CUSTOMER_RFM, window=of_day(0), now=START + DAY)
