"""A push: new orders and events in features at once, equal in history and online, and in agreement with builds."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from include.entities.events import Event
from include.entities.orders import Order, OrderLine
from include.entities.window import NaiveTime, Window
from include.features.building.build import build_view
from include.features.definitions.versions import apply_view, current_version
from include.features.online.push import push
from include.features.online.push_facts import PushRefused
from include.features.registry import FEATURE_VIEWS, Registry
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.warehouse.connection import connect_warehouse
from tests.integration import feature_shop
from tests.integration.feature_shop import DAY, build_all, day, load, newest_versions, random_facts
from tests.integration.online_stores import (
    MICROSECOND,
    History,
    Online,
    bits,
    edges,
    in_redis,
    newest_midnights,
)
from tests.integration.redis_process import NEEDS_REDIS

START = day("2024-01-01")
DAYS = 6
NOON = START + DAY * DAYS + timedelta(hours=12)
KEYS = [{"customer_id": c, "product_id": p} for c in (1, 2, 3, 8, None, 999) for p in (1, 2)]
PUSHED = [view for view in FEATURE_VIEWS.values() if not view.is_ranked]


def order(
    order_id: int, customer_id: int | None, paid_at: datetime, *, amount: str = "25.5", product: int = 1
) -> Order:
    line = OrderLine(
        order_id=order_id, line_id=1, kind="product", product_id=product, sku=None, name="p", quantity=1,
        unit_price=Decimal(amount), total_amount=Decimal(amount),
    )  # fmt: skip
    return Order(
        order_id=order_id, order_number=str(order_id), customer_id=customer_id, status="processing", currency="GBP",
        total_amount=Decimal(amount), discount_amount=Decimal(0), shipping_amount=Decimal(0), tax_amount=Decimal(0),
        country="GB", placed_at=paid_at, paid_at=paid_at, completed_at=None, cancelled_at=None,
        source_updated_at=paid_at, lines=(line,),
    )  # fmt: skip


def event(event_id: str, customer_id: int, occurred_at: datetime) -> Event:
    return Event(
        event_id=event_id, event_name="Product Viewed", customer_id=customer_id, anonymous_id=None, product_id=1,
        order_id=None, properties={}, occurred_at=occurred_at, source_updated_at=occurred_at,
    )  # fmt: skip


def built_and_published(conn: psycopg.Connection, online: Online, *, seed: int = 1) -> None:
    load(conn, random_facts(seed, start=START, days=DAYS, count=50))
    build_all(conn, Window(START, START + DAY * DAYS), now=START + DAY * DAYS)
    online.publish(conn, now=START + DAY * DAYS)


def pushed(conn: psycopg.Connection, online: Online, *records: Order | Event, now: datetime) -> datetime:
    copies = [] if online.client is None else [online.store]
    receipt = push(conn, records, now=now, copies=copies)
    conn.commit()
    return receipt.at


def assert_online_is_history(conn: psycopg.Connection, online: Online, *, now: datetime) -> None:
    history = History(conn, FEATURE_VIEWS.values())
    for at in edges(history, since=now):
        assert bits(online.read(KEYS, at=at)) == bits(history.online(KEYS, at=at)), at


def test_a_pushed_order_is_in_the_features_of_its_customer_at_once(warehouse, online):
    built_and_published(warehouse, online)
    asked = ["customer_activity:order_count_30d", "customer_activity:revenue_amount_30d"]
    before = online.read(KEYS[:1], at=NOON, features=asked)
    at = pushed(warehouse, online, order(9001, 1, NOON - MICROSECOND), now=NOON)
    after = online.read(KEYS[:1], at=NOON, features=asked)
    assert at == NOON
    assert after["order_count_30d"] == [before["order_count_30d"][0] + 1]
    assert Decimal(after["revenue_amount_30d"][0]).quantize(Decimal("0.0001")) == (
        Decimal(before["revenue_amount_30d"][0]) + Decimal("25.5")
    ).quantize(Decimal("0.0001"))
    assert after["order_count_30d__ts"] == [NOON]


def test_after_each_push_online_answers_as_history_does(warehouse, online):
    built_and_published(warehouse, online)
    rng = random.Random(5)
    now = NOON
    for number in range(8):
        now += timedelta(minutes=rng.randrange(1, 500))
        customer, product = rng.choice([1, 2, 3, 8, None]), rng.choice([1, 2])
        records: list[Order | Event] = [order(9000 + number, customer, now - MICROSECOND, product=product)]
        if customer is not None:
            records.append(event(f"pushed-{number}", customer, now - timedelta(days=rng.randrange(3), seconds=1)))
        pushed(warehouse, online, *records, now=now)
        assert_online_is_history(warehouse, online, now=now)
        if number == 4:
            build_all(warehouse, Window(START, START + DAY * (DAYS + 1)), now=max(now, START + DAY * (DAYS + 1)))
            now = max(now, START + DAY * (DAYS + 1))
            online.publish(warehouse, now=now)
            assert_online_is_history(warehouse, online, now=now)


def test_only_touched_keys_get_rows_of_views_that_read_what_changed(warehouse, online):
    built_and_published(warehouse, online)
    at = pushed(warehouse, online, event("pushed", 1, NOON - MICROSECOND), now=NOON)
    for view in FEATURE_VIEWS.values():
        version = current_version(warehouse, view)
        keys = warehouse.execute(
            psycopg.sql.SQL("SELECT {} FROM {} WHERE event_time = %s").format(version.keys, version.history), (at,)
        ).fetchall()
        reads_events = "shop.events" in view.reads and not view.is_ranked and view.entity.name == "customer"
        assert keys == ([(1,)] if reads_events else []), view


def test_midnights_are_the_same_with_and_without_a_push(warehouse, online):
    facts = random_facts(2, start=START, days=DAYS, count=50)
    load(warehouse, facts)
    build_all(warehouse, Window(START, START + DAY * DAYS), now=START + DAY * DAYS)
    order_of_noon = order(9001, 1, NOON - timedelta(hours=30))
    pushed(warehouse, online, order_of_noon, event("e", 2, NOON - timedelta(hours=1)), now=NOON)
    build_all(warehouse, Window(START, START + DAY * (DAYS + 2)), now=START + DAY * (DAYS + 2))
    at_midnights = {view.name: newest_midnights(warehouse, view) for view in FEATURE_VIEWS.values()}
    for view in FEATURE_VIEWS.values():
        version = current_version(warehouse, view)
        warehouse.execute(psycopg.sql.SQL("TRUNCATE {}, {}").format(version.history, version.online))
    warehouse.execute("DELETE FROM features.built_snapshots")
    warehouse.commit()
    build_all(warehouse, Window(START, START + DAY * (DAYS + 2)), now=START + DAY * (DAYS + 2))
    assert {view.name: newest_midnights(warehouse, view) for view in FEATURE_VIEWS.values()} == at_midnights
    assert any(rows for rows in at_midnights.values())


def test_a_late_fact_before_a_pushed_instant_corrects_the_pushed_row(warehouse, online):
    built_and_published(warehouse, online)
    pushed(warehouse, online, order(9001, 1, NOON - MICROSECOND), now=NOON)
    asked = ["customer_activity:order_count_30d"]
    (before,) = online.read(KEYS[:1], at=NOON, features=asked)["order_count_30d"]
    load(warehouse, [feature_shop.Order(9002, 1, NOON - timedelta(hours=2)), feature_shop.Order(9003, 2, START)])
    later = NOON + timedelta(hours=1)
    build_all(warehouse, Window(START, START + DAY), now=later)
    online.publish(warehouse, now=later)
    answer = online.read(KEYS[:1], at=later, features=asked)
    assert (answer["order_count_30d"], answer["order_count_30d__ts"]) == ([before + 1], [NOON])
    assert_online_is_history(warehouse, online, now=later)


def test_a_build_after_a_push_repairs_nothing_of_it(warehouse, online):
    built_and_published(warehouse, online)
    pushed(warehouse, online, order(9001, 1, NOON - MICROSECOND), now=NOON)
    for view in PUSHED:
        receipt = build_view(warehouse, view, Window(START, START + DAY), now=NOON + DAY)
        assert (receipt.inserted, receipt.updated) == (0, 0), view
    warehouse.commit()


def test_the_same_push_again_changes_nothing(warehouse, online):
    built_and_published(warehouse, online)
    record = order(9001, 1, NOON - MICROSECOND)
    pushed(warehouse, online, record, now=NOON)
    before = bits(online.read(KEYS, at=NOON + DAY)), feature_shop.all_bytes(warehouse)
    receipt = push(warehouse, [record], now=NOON + timedelta(hours=1))
    warehouse.commit()
    assert [(fact.step, fact.unchanged) for fact in receipt.facts] == [("push", 1), ("push", 1)]
    assert receipt.rows == {}
    assert (bits(online.read(KEYS, at=NOON + DAY)), feature_shop.all_bytes(warehouse)) == before


def test_an_order_that_changes_hands_reaches_both_customers(warehouse, online):
    built_and_published(warehouse, online)
    first = order(9001, 1, NOON - timedelta(hours=2))
    pushed(warehouse, online, first, now=NOON)
    moved = replace(first, customer_id=2, source_updated_at=NOON)
    pushed(warehouse, online, moved, now=NOON + MICROSECOND)
    counts = online.read(
        [{"customer_id": 1}, {"customer_id": 2}], at=NOON + DAY, features=["customer_activity:order_count_30d"]
    )
    assert counts["order_count_30d__ts"] == [NOON + MICROSECOND] * 2
    assert_online_is_history(warehouse, online, now=NOON + MICROSECOND)


def test_a_customer_who_loses_the_only_order_is_not_found_at_once_and_builds_agree(warehouse, online):
    built_and_published(warehouse, online)
    first = order(9001, 77, NOON - timedelta(hours=2))
    pushed(warehouse, online, first, now=NOON)
    later = NOON + timedelta(minutes=1)
    pushed(warehouse, online, replace(first, customer_id=78, source_updated_at=NOON), now=later)
    asked = ["customer_activity:order_count_30d", "customer_lifetime:repeat_purchase_days"]
    for now in (later, NOON + DAY):
        answer = online.read([{"customer_id": 77}, {"customer_id": 78}], at=now, features=asked)
        for name in ("order_count_30d", "repeat_purchase_days"):
            assert answer[f"{name}__status"] == ["not found", "present"]
        assert_online_is_history(warehouse, online, now=now)
        build_all(warehouse, Window(START, START + DAY), now=NOON + DAY)
        online.publish(warehouse, now=NOON + DAY)


def test_a_version_that_a_model_still_reads_gets_its_rows_too(warehouse, online):
    built_and_published(warehouse, online)
    changed = replace(CUSTOMER_ACTIVITY, ttl=timedelta(days=3))
    second = apply_view(warehouse, changed, now=NOON)
    build_view(warehouse, second, Window(START, START + DAY * DAYS), now=NOON)
    receipt = push(warehouse, [event("pushed", 1, NOON - MICROSECOND)], now=NOON, registry=Registry(views=(changed,)))
    assert receipt.rows == {"customer_activity@1": 1, "customer_activity@2": 1}


def test_midnight_belongs_to_builds_and_a_clock_behind_does_not_lose_a_push(warehouse, online):
    built_and_published(warehouse, online)
    midnight = START + DAY * (DAYS + 1)
    assert pushed(warehouse, online, event("a", 1, midnight - DAY), now=midnight) == midnight + MICROSECOND
    assert pushed(warehouse, online, event("b", 1, midnight - DAY), now=NOON) == midnight + 2 * MICROSECOND
    count = online.read(KEYS[:1], at=midnight + DAY, features=["customer_activity:event_count_30d"])
    assert count["event_count_30d__ts"] == [midnight + 2 * MICROSECOND]
    assert_online_is_history(warehouse, online, now=midnight + 2 * MICROSECOND)
    build_all(warehouse, Window(midnight - DAY, midnight), now=midnight + DAY)
    rows = [row for row in newest_versions(warehouse, CUSTOMER_ACTIVITY) if row[0] == "1"]
    assert any(datetime.fromisoformat(row[1]) == midnight for row in rows)


def test_a_running_build_does_not_make_a_push_wait(warehouse, warehouse_dsn, online):
    built_and_published(warehouse, online)
    with connect_warehouse(warehouse_dsn) as other, warehouse.transaction():
        for view in FEATURE_VIEWS.values():
            build_view(warehouse, view, Window(NOON - DAY, NOON + DAY), now=NOON + DAY)
        other.execute("SET lock_timeout = '2s'")
        other.commit()
        assert push(other, [order(9001, 1, NOON - MICROSECOND)], now=NOON).rows


def test_pushes_side_by_side_lose_nothing(warehouse, warehouse_dsn, online):
    built_and_published(warehouse, online)
    asked = ["customer_activity:event_count_30d", "customer_activity:order_count_30d"]
    before = online.read(KEYS[:1], at=NOON + DAY, features=asked)
    errors: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            with connect_warehouse(warehouse_dsn) as conn:
                for number in range(5):
                    record = (
                        event(f"{worker}-{number}", 1, NOON - MICROSECOND)
                        if worker % 2
                        else order(9000 + 10 * worker + number, 1, NOON - MICROSECOND)
                    )
                    pushed(conn, online, record, now=NOON + timedelta(milliseconds=number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    after = online.read(KEYS[:1], at=NOON + DAY, features=asked)
    assert after["event_count_30d"] == [before["event_count_30d"][0] + 10]
    assert after["order_count_30d"] == [before["order_count_30d"][0] + 10]
    assert_online_is_history(warehouse, online, now=NOON + timedelta(minutes=1))


@NEEDS_REDIS
def test_what_a_push_did_not_bring_to_redis_the_next_publication_does(warehouse, warehouse_dsn, redis_url):
    store = in_redis(warehouse_dsn, redis_url)
    built_and_published(warehouse, store)
    push(warehouse, [order(9001, 1, NOON - MICROSECOND)], now=NOON)  # Died before it reached Redis.
    warehouse.commit()
    store.publish(warehouse, now=NOON + MICROSECOND)
    assert_online_is_history(warehouse, store, now=NOON + MICROSECOND)
    store.close()


def test_what_breaks_a_rule_or_has_no_time_zone_is_refused_whole(warehouse, online):
    built_and_published(warehouse, online)
    before = feature_shop.all_bytes(warehouse)
    bad = replace(order(9001, 1, NOON), total_amount=Decimal(-1))
    with pytest.raises(PushRefused, match=r"9001.*total_not_negative"):
        push(warehouse, [order(9002, 1, NOON), bad], now=NOON)
    with pytest.raises(NaiveTime):
        push(warehouse, [order(9002, 1, NOON)], now=NOON.replace(tzinfo=None))
    warehouse.rollback()
    assert warehouse.execute("SELECT count(*) FROM shop.orders WHERE order_id > 9000").fetchone() == (0,)
    assert feature_shop.all_bytes(warehouse) == before
    assert NOON.tzinfo is UTC
