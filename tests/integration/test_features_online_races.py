"""Readers while publications and pushes run, publications side by side, and publications that are killed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from include.entities.events import Event
from include.entities.window import Window
from include.features.building.build import build_view
from include.features.online.push import push
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import DAY, Order, build_all, day, load
from tests.integration.online_stores import History, Online, bits, in_redis
from tests.integration.redis_process import NEEDS_REDIS

START = day("2024-01-01")
READ_AT = START + DAY * 7
CUSTOMERS = 60
KEYS = [{"customer_id": number, "product_id": 1} for number in range(1, CUSTOMERS + 1)]
VIEWS = [CUSTOMER_ACTIVITY, CUSTOMER_RFM]
ROOT = Path(__file__).resolve().parents[2]


def everybody_buys(conn: psycopg.Connection, number: int) -> None:
    """One order each on a day, so that every key's row of every view changes."""
    at = START + DAY * number + timedelta(hours=1)
    load(conn, [Order(1000 * number + key["customer_id"], key["customer_id"], at) for key in KEYS])
    build_all(conn, Window(START + DAY * number, START + DAY * (number + 1)), now=START + DAY * (number + 1))


@contextmanager
def reading(online: Online, check) -> Iterator[None]:
    """A reader that never rests; what it meets wrong fails the test."""
    errors: list[BaseException] = []
    rounds = 0
    is_over = threading.Event()

    def read() -> None:
        nonlocal rounds
        try:
            while not is_over.is_set():
                check(online.read(KEYS, at=READ_AT, features=[view.name for view in VIEWS]))
                rounds += 1
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert not errors, errors
    assert rounds > 3


def is_of_one_publication(answer: dict[str, list]) -> None:
    """Every key of every view is of one snapshot."""
    snapshots = set(answer["frequency__ts"]) | set(answer["order_count_30d__ts"])
    assert len(snapshots) == 1, snapshots
    assert set(answer["frequency"]) == set(answer["order_count_30d"])


def test_a_reader_sees_each_publication_whole_or_not_at_all(warehouse, online):
    everybody_buys(warehouse, 0)
    online.publish(warehouse, now=START + DAY)
    with reading(online, is_of_one_publication):
        for number in range(1, 6):
            everybody_buys(warehouse, number)
            online.publish(warehouse, now=START + DAY * (number + 1))
    assert set(online.read(KEYS, at=READ_AT, features=["customer_rfm"])["frequency"]) == {6}


def test_a_reader_sees_each_push_whole_in_all_views(warehouse, online):
    everybody_buys(warehouse, 0)
    online.publish(warehouse, now=START + DAY)

    def is_whole(answer: dict[str, list]) -> None:
        counts, recent = answer["event_count_30d"], answer["event_count_365d"]
        assert counts == recent
        assert len(set(counts)) == 1, counts

    with reading(online, is_whole), connect_warehouse(online.dsn) as conn:
        for number in range(4):
            now = START + DAY * 2 + timedelta(minutes=number)
            events = [
                Event(
                    event_id=f"{number}-{key['customer_id']}", event_name="Product Viewed",
                    customer_id=key["customer_id"], anonymous_id=None, product_id=None, order_id=None, properties={},
                    occurred_at=now - timedelta(seconds=1), source_updated_at=now,
                )
                for key in KEYS
            ]  # fmt: skip
            push(conn, events, now=now, copies=[] if online.client is None else [online.store])
            conn.commit()
    assert set(online.read(KEYS, at=READ_AT)["event_count_30d"]) == {4}


def test_publications_pushes_and_builds_side_by_side_end_as_history_says(warehouse, warehouse_dsn, online):
    everybody_buys(warehouse, 0)
    online.publish(warehouse, now=START + DAY)
    errors: list[BaseException] = []

    def in_thread(work) -> threading.Thread:
        def run() -> None:
            try:
                with connect_warehouse(warehouse_dsn) as conn:
                    work(conn)
            except BaseException as error:
                errors.append(error)

        return threading.Thread(target=run)

    def builds(conn: psycopg.Connection) -> None:
        for number in range(1, 4):
            everybody_buys(conn, number)

    def publishes(conn: psycopg.Connection) -> None:
        for _ in range(6):
            online.publish(conn, random.sample(list(FEATURE_VIEWS.values()), len(FEATURE_VIEWS)), now=START + DAY * 8)

    def pushes(conn: psycopg.Connection) -> None:
        for number in range(8):
            now = START + DAY * 8 + timedelta(minutes=number)
            event = Event(
                event_id=f"pushed-{number}", event_name="Product Viewed", customer_id=1 + number % 3, anonymous_id=None,
                product_id=None, order_id=None, properties={}, occurred_at=now - DAY, source_updated_at=now,
            )  # fmt: skip
            push(conn, [event], now=now, copies=[] if online.client is None else [online.store])
            conn.commit()

    threads = [in_thread(work) for work in (builds, publishes, publishes, pushes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    now = START + DAY * 9
    for view in FEATURE_VIEWS.values():
        build_view(warehouse, view, Window(START, START + DAY), now=now)
    online.publish(warehouse, now=now)
    history = History(warehouse, FEATURE_VIEWS.values())
    assert bits(online.read(KEYS, at=now)) == bits(history.online(KEYS, at=now))


@pytest.mark.parametrize("seed", range(3))
def test_a_publication_killed_at_any_moment_shows_nothing_and_the_next_one_ends_it(
    warehouse, warehouse_dsn, online, request, seed
):
    where = "postgres" if online.client is None else request.getfixturevalue("redis_url")
    rng = random.Random(seed)
    everybody_buys(warehouse, 0)
    online.publish(warehouse, now=START + DAY)
    everybody_buys(warehouse, 1)
    now = START + DAY * 2
    with reading(online, is_of_one_publication):
        killed = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.publish_process", warehouse_dsn, where, now.isoformat()],
            cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert killed.stdout is not None and killed.stdout.readline() == b"begun\n"
        until = time.monotonic() + rng.random() * 0.06
        while time.monotonic() < until and killed.poll() is None:
            pass
        killed.kill()
        killed.wait()
        online.publish(warehouse, [CUSTOMER_RFM, CUSTOMER_ACTIVITY], now=now)
    history = History(warehouse, VIEWS)
    asked = [{"customer_id": key["customer_id"]} for key in KEYS]
    answer = online.read(asked, at=now, features=[view.name for view in VIEWS])
    assert bits(answer) == bits(history.online(asked, at=now))
    assert set(answer["frequency"]) == {2}


@NEEDS_REDIS
def test_what_a_dead_publication_left_in_redis_stays_unseen_while_other_views_are_published(
    warehouse, warehouse_dsn, redis_url, monkeypatch
):
    online = in_redis(warehouse_dsn, redis_url)
    everybody_buys(warehouse, 0)
    online.publish(warehouse, now=START + DAY)
    before = online.read(KEYS, at=READ_AT)
    everybody_buys(warehouse, 1)
    from include.features.online.redis_store import RedisOnline

    def dies(self, conn, versions, *, now):
        self._send(conn, versions[0])
        raise ConnectionError("died half-way")

    with monkeypatch.context() as patched:
        patched.setattr(RedisOnline, "publish", dies)
        with pytest.raises(ConnectionError):
            online.publish(warehouse, [CUSTOMER_ACTIVITY], now=START + DAY * 2)
    warehouse.rollback()
    assert bits(online.read(KEYS, at=READ_AT)) == bits(before)
    online.publish(warehouse, [CUSTOMER_RFM], now=START + DAY * 2)
    after = online.read(KEYS, at=READ_AT)
    assert set(after["frequency"]) == {2}
    assert after["order_count_30d"] == before["order_count_30d"]
    event = Event(
        event_id="pushed", event_name="Product Viewed", customer_id=1, anonymous_id=None, product_id=None,
        order_id=None, properties={}, occurred_at=START + DAY * 2, source_updated_at=START + DAY * 2,
    )  # fmt: skip
    push(warehouse, [event], now=START + DAY * 3 - timedelta(hours=1), copies=[online.store])
    warehouse.commit()
    pushed = online.read(KEYS, at=READ_AT)
    assert (pushed["order_count_30d"][0], pushed["order_count_30d"][1:]) == (2, before["order_count_30d"][1:])
    online.publish(warehouse, now=START + DAY * 3)
    history = History(warehouse, FEATURE_VIEWS.values())
    now = START + DAY * 3
    assert bits(online.read(KEYS, at=now)) == bits(history.online(KEYS, at=now))
    online.close()
