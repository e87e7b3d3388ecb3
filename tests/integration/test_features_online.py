"""Online stores, one contract: what they hold after each publication, and that they answer as history does."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import psycopg
import pytest

from include.entities.window import NaiveTime, Window
from include.features.building.build import build_view
from include.features.online.publish import publish_online
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration.feature_shop import DAY, Order, all_bytes, build_all, day, instant_of, load, random_facts
from tests.integration.online_stores import MICROSECOND, History, Online, bits, edges, in_postgres, in_redis
from tests.integration.redis_process import NEEDS_REDIS

START = day("2024-01-01")
DAYS = 8
KEYS = [{"customer_id": c, "product_id": p} for p, c in enumerate([3, 1, None, 2, 999, 1, 4, 5, 6, 7, 8])]
ONE = [{"customer_id": 1, "product_id": 1}]


def of_day(number: int) -> Window:
    return Window(START + DAY * number, START + DAY * (number + 1))


def assert_online_is_history(conn: psycopg.Connection, online: Online, *, now: datetime) -> set[str]:
    """Bit for bit, at the publication and later, on both sides of every TTL that runs out; gives the statuses met."""
    history = History(conn, FEATURE_VIEWS.values())
    statuses: set[str] = set()
    for at in edges(history, since=now):
        answer = online.read(KEYS, at=at)
        assert bits(answer) == bits(history.online(KEYS, at=at)), at
        statuses |= {status for name, column in answer.items() if name.endswith("__status") for status in column}
    return statuses


@pytest.mark.parametrize("order", ["forwards", "shuffled"])
def test_after_each_publication_online_answers_as_history_does(warehouse, online, order):
    facts = random_facts(1, start=START, days=DAYS, count=60)
    rng = random.Random(1)
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
        online.publish(warehouse, now=now)
        if number % 3 == 0:
            statuses |= assert_online_is_history(warehouse, online, now=now)
    load(warehouse, late)
    warehouse.execute("DELETE FROM shop.orders WHERE customer_id = 8")
    build_all(warehouse, of_day(0), now=now + DAY)
    online.publish(warehouse, now=now + DAY)
    statuses |= assert_online_is_history(warehouse, online, now=now + DAY)
    assert statuses == {"present", "null", "not found", "outside ttl"}


def test_a_range_published_at_once_answers_as_day_after_day(warehouse, online):
    load(warehouse, random_facts(2, start=START, days=DAYS))
    now = START + DAY * DAYS
    build_all(warehouse, Window(START, now), now=now)
    online.publish(warehouse, now=now)
    assert_online_is_history(warehouse, online, now=now)


def test_an_old_window_published_later_overwrites_nothing(warehouse, online):
    load(warehouse, [Order(1, 1, START), Order(2, 1, START + DAY * 5)])
    now = START + DAY * 9
    build_all(warehouse, of_day(6), now=now)
    online.publish(warehouse, now=now)
    before = online.read(ONE, at=now)
    build_all(warehouse, of_day(1), now=now)
    receipt = online.publish(warehouse, [CUSTOMER_RFM], now=now)["customer_rfm"]
    assert (receipt.received, receipt.stale, receipt.inserted, receipt.updated) == (1, 1, 0, 0)
    assert online.read(ONE, at=now) == before


def test_a_late_correction_of_the_newest_snapshot_arrives_online(warehouse, online):
    load(warehouse, [Order(1, 1, START), Order(9, 2, START)])
    build_all(warehouse, of_day(3), now=START + DAY * 4)
    online.publish(warehouse, now=START + DAY * 4)
    load(warehouse, [Order(2, 1, START + DAY)])
    build_all(warehouse, of_day(1), now=START + DAY * 5)  # an old window; the repair reaches the newest snapshot
    receipt = online.publish(warehouse, now=START + DAY * 5)["customer_activity"]
    assert receipt.updated == 1
    answer = online.read(ONE, at=START + DAY * 5, features=["customer_rfm:frequency"])
    assert (answer["frequency"], answer["frequency__status"]) == ([2], ["present"])


def test_a_tombstone_is_published_and_read_as_not_found(warehouse, online):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    online.publish(warehouse, now=START + DAY)
    warehouse.execute("DELETE FROM shop.orders")
    warehouse.commit()
    build_all(warehouse, of_day(0), now=START + DAY * 2)
    online.publish(warehouse, now=START + DAY * 2)
    answer = online.read(ONE, at=START + DAY * 2, features=["customer_rfm:frequency"])
    assert (answer["frequency"], answer["frequency__status"], answer["frequency__ts"]) == (
        [None],
        ["not found"],
        [None],
    )
    assert_online_is_history(warehouse, online, now=START + DAY * 2)


def test_what_was_not_yet_known_is_not_answered(warehouse, online):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    online.publish(warehouse, now=START + DAY)
    asked = ["customer_rfm:frequency"]
    assert online.read(ONE, at=START + DAY - MICROSECOND, features=asked)["frequency__status"] == ["not found"]
    load(warehouse, [Order(2, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY * 2)
    online.publish(warehouse, now=START + DAY * 2)
    before = online.read(ONE, at=START + DAY * 2 - MICROSECOND, features=asked)
    after = online.read(ONE, at=START + DAY * 2, features=asked)
    assert (before["frequency"], before["frequency__status"]) == ([None], ["not found"])
    assert (after["frequency"], after["frequency__status"]) == ([2], ["present"])


def test_publishing_again_writes_nothing(warehouse, online):
    load(warehouse, random_facts(1, start=START, days=DAYS))
    now = START + DAY * DAYS
    build_all(warehouse, Window(START, now), now=now)
    assert all(receipt.inserted > 3 for receipt in online.publish(warehouse, now=now).values())
    before = all_bytes(warehouse), online.read(KEYS, at=now)
    again = online.publish(warehouse, now=now + DAY)
    assert {receipt.received for receipt in again.values()} == {0}
    assert (all_bytes(warehouse), online.read(KEYS, at=now)) == before


def test_only_changed_rows_are_taken(warehouse, online):
    load(warehouse, [Order(number, number, START) for number in range(1, 41)])
    build_all(warehouse, of_day(3), now=START + DAY * 4)
    assert online.publish(warehouse, now=START + DAY * 4)["customer_activity"].inserted == 40
    load(warehouse, [Order(100, 7, START + DAY)])
    build_all(warehouse, of_day(3), now=START + DAY * 5)
    receipt = online.publish(warehouse, now=START + DAY * 5)["customer_activity"]
    assert (receipt.received, receipt.updated) == (1, 1)


def test_a_refused_view_is_held_back_with_its_reasons_and_comes_later(warehouse, online, caplog):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    refused = {"customer_rfm": ["rows 1 is below 100"]}
    with caplog.at_level("WARNING"):
        receipts = publish_online(
            warehouse, FEATURE_VIEWS.values(), window=of_day(0), now=START + DAY, store=online.store, refused=refused
        )
    warehouse.commit()
    assert receipts["customer_rfm"].received == 0
    assert receipts["customer_rfm"].details["refused"] == ["rows 1 is below 100"]
    assert "publish_customer_rfm" in caplog.text and "rows 1 is below 100" in caplog.text
    answer = online.read(ONE, at=START + DAY)
    assert (answer["frequency__status"], answer["order_count_30d__status"]) == (["not found"], ["present"])
    assert online.publish(warehouse, now=START + DAY)["customer_rfm"].inserted == 1
    assert online.read(ONE, at=START + DAY)["frequency__status"] == ["present"]


def test_a_publication_that_fails_leaves_all_views_as_they_were(warehouse, online, monkeypatch):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    online.publish(warehouse, now=START + DAY)
    load(warehouse, [Order(2, 1, START)])
    build_all(warehouse, of_day(1), now=START + DAY * 2)
    before = online.read(ONE, at=START + DAY * 2)
    with pytest.raises(psycopg.errors.UndefinedTable), warehouse.transaction():
        warehouse.execute("ALTER TABLE features.customer_rfm_v1 RENAME TO gone")
        online.publish(warehouse, now=START + DAY * 2)
    assert online.read(ONE, at=START + DAY * 2) == before
    later = [CUSTOMER_ACTIVITY, *(view for view in FEATURE_VIEWS.values() if view is not CUSTOMER_ACTIVITY)]
    online.publish(warehouse, later, now=START + DAY * 2)
    assert online.read(ONE, at=START + DAY * 2)["frequency"] == [2]


def test_a_view_never_built_publishes_nothing_and_answers_not_found(warehouse, online):
    assert {receipt.received for receipt in online.publish(warehouse, now=START).values()} == {0}
    answer = online.read([*ONE, {"customer_id": None, "product_id": None}], at=START)
    assert {status for name in answer if name.endswith("__status") for status in answer[name]} == {"not found"}


def test_a_naive_now_is_refused(warehouse, online):
    naive = datetime(2024, 1, 1)  # noqa: DTZ001
    with pytest.raises(NaiveTime, match="now"):
        publish_online(warehouse, [CUSTOMER_RFM], window=of_day(0), now=naive, store=online.store)


def test_builds_and_publications_of_one_view_wait_for_each_other(warehouse, warehouse_dsn, online):
    load(warehouse, [Order(1, 1, START)])
    with psycopg.connect(warehouse_dsn, options="-c lock_timeout=200ms") as other, warehouse.transaction():
        build_view(warehouse, CUSTOMER_RFM, of_day(0), now=START + DAY)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            online.publish(other, [CUSTOMER_RFM], now=START + DAY)


@NEEDS_REDIS
def test_an_empty_redis_is_filled_anew(warehouse, warehouse_dsn, redis_url):
    store = in_redis(warehouse_dsn, redis_url)
    load(warehouse, random_facts(3, start=START, days=DAYS))
    now = START + DAY * DAYS
    build_all(warehouse, Window(START, now), now=now)
    store.publish(warehouse, now=now)
    before = store.read(KEYS, at=now)
    assert store.client is not None
    store.client.flushall()
    assert store.read(KEYS, at=now) != before
    store.publish(warehouse, now=now)
    assert store.read(KEYS, at=now) == before
    store.close()


def test_each_store_has_a_position_of_its_own(warehouse, warehouse_dsn, online):
    load(warehouse, [Order(1, 1, START)])
    build_all(warehouse, of_day(0), now=START + DAY)
    assert online.publish(warehouse, now=START + DAY)["customer_rfm"].inserted == 1
    if online.client is not None:
        other = in_postgres(warehouse_dsn)
        assert other.publish(warehouse, now=START + DAY)["customer_rfm"].inserted == 1
        assert bits(other.read(ONE, at=START + DAY)) == bits(online.read(ONE, at=START + DAY))
        other.close()
