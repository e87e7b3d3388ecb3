"""Builds, repairs and publications of all views over facts of every kind, where each feature takes several values."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from psycopg import sql

from include.entities.window import Window
from include.features.definitions.versions import current_version
from include.features.registry import FEATURE_VIEWS
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import DAY, NOW, build_all, day, newest_versions
from tests.integration.online_stores import History, bits
from tests.integration.whole_facts import CUSTOMERS, PRODUCTS, Fact, put, whole_facts
from tests.own_database import own_database

ROOT = Path(__file__).resolve().parents[2]
START = day("2024-03-25")
"""So that a clock change of Europe is among the snapshots."""
DAYS, BEFORE = 10, 100
RANGE = Window(START, START + DAY * DAYS)
EVERY_DAY = [Window(START + DAY * number, START + DAY * (number + 1)) for number in range(DAYS)]
KEYS = [{"customer_id": c, "product_id": p} for c in (*CUSTOMERS, 999) for p in (*PRODUCTS, 999)]


@pytest.fixture
def another_warehouse(postgres_server):
    with own_database(postgres_server, "whole_facts") as dsn, connect_warehouse(dsn) as conn:
        yield conn


def facts(seed: int) -> list[Fact]:
    return whole_facts(seed, start=START - DAY * BEFORE, days=BEFORE + DAYS)


def some_late(facts: list[Fact], *, seed: int) -> list[Fact]:
    """A tenth of them, and of the few changes of products every second one."""
    chance = random.Random(seed)
    return [
        fact
        for fact in facts
        if chance.random() < (0.5 if fact.rows[0][0] == "product_versions" else 0.1)
        and fact.instant >= START - DAY * BEFORE
    ]


def history(conn) -> dict[str, list[tuple]]:
    return {name: newest_versions(conn, view) for name, view in FEATURE_VIEWS.items()}


def test_each_feature_of_each_view_takes_several_values(warehouse):
    put(warehouse, facts(1))
    build_all(warehouse, RANGE)
    constant = []
    for view in FEATURE_VIEWS.values():
        counts = sql.SQL(", ").join(
            sql.SQL("count(DISTINCT {0}) + (count(*) > count({0}))::integer").format(sql.Identifier(name))
            for name in view.feature_names
        )
        version = current_version(warehouse, view)
        row = warehouse.execute(sql.SQL("SELECT {} FROM {}").format(counts, version.history)).fetchone()
        constant += [f"{view}:{name}" for name, values in zip(view.feature_names, row, strict=True) if values < 2]
    assert constant == []


@pytest.mark.parametrize("days", [EVERY_DAY, EVERY_DAY[::-1]], ids=["forwards", "backwards"])
def test_daily_builds_equal_one_ranged_build(warehouse, another_warehouse, days):
    for conn in (warehouse, another_warehouse):
        put(conn, facts(2))
    build_all(warehouse, RANGE)
    for window in days:
        build_all(another_warehouse, window)
    assert history(another_warehouse) == history(warehouse)


def test_what_happens_at_a_snapshot_or_after_it_changes_nothing_of_it(warehouse, another_warehouse):
    middle = START + DAY * 5
    known, later = facts(6), [fact for fact in facts(6) if fact.instant >= middle]
    put(warehouse, [fact for fact in known if fact.instant < middle])
    put(another_warehouse, known)
    for conn in (warehouse, another_warehouse):
        build_all(conn, Window(START, middle))
    assert {table for fact in later for table, _ in fact.rows} > {"orders", "events", "weather_daily"}
    assert any(fact.instant == middle for fact in later)
    assert history(another_warehouse) == history(warehouse)


@pytest.mark.parametrize("seed", [3])
def test_late_facts_of_every_kind_are_repaired(warehouse, another_warehouse, seed):
    late = some_late(facts(seed), seed=seed)
    assert {table for fact in late for table, _ in fact.rows} >= {
        "orders", "refunds", "events", "product_versions", "weather_daily", "stock_prices_daily",
    }  # fmt: skip
    put(another_warehouse, facts(seed))
    build_all(another_warehouse, RANGE)

    put(warehouse, [fact for fact in facts(seed) if fact not in late])
    build_all(warehouse, RANGE)
    incomplete = history(warehouse)
    put(warehouse, late)
    build_all(warehouse, EVERY_DAY[-1], now=NOW + DAY)
    complete = history(another_warehouse)
    for name in FEATURE_VIEWS:
        assert incomplete[name] != complete[name], name
        assert history(warehouse)[name] == complete[name], name


@pytest.mark.parametrize(
    ("table", "views"),
    [
        ("weather_daily", {"customer_context"}),
        ("stock_prices_daily", {"customer_context"}),
        ("product_versions", {"customer_basket"}),
        ("refunds", {"customer_rfm", "customer_activity", "customer_lifetime", "customer_basket", "product_demand"}),
        ("events", {"customer_activity", "customer_engagement"}),
    ],
)
def test_late_facts_of_one_kind_alone_are_repaired_where_they_are_felt(warehouse, another_warehouse, table, views):
    late = [fact for fact in some_late(facts(7), seed=7) if fact.rows[0][0] == table]
    put(another_warehouse, facts(7))
    build_all(another_warehouse, RANGE)
    put(warehouse, [fact for fact in facts(7) if fact not in late])
    build_all(warehouse, RANGE)
    incomplete, complete = history(warehouse), history(another_warehouse)
    put(warehouse, late)
    build_all(warehouse, EVERY_DAY[-1], now=NOW + DAY)
    assert {name for name in FEATURE_VIEWS if incomplete[name] != complete[name]} == views
    assert history(warehouse) == complete


@pytest.mark.parametrize(
    "revision",
    [
        "UPDATE signals.weather_daily SET temperature_max_celsius = temperature_max_celsius + 1 WHERE weather_on = %s",
        "UPDATE signals.stock_prices_daily SET close_price = close_price + 1 WHERE traded_on = %s",
    ],
)
def test_weather_and_prices_that_are_revised_are_repaired(warehouse, another_warehouse, revision):
    tuesday = (START + DAY).date()
    for conn in (warehouse, another_warehouse):
        put(conn, facts(8))
    build_all(warehouse, RANGE)
    before = history(warehouse)
    for conn in (warehouse, another_warehouse):
        assert conn.execute(revision, (tuesday,)).rowcount
        conn.commit()
    build_all(warehouse, EVERY_DAY[-1], now=NOW + DAY)
    build_all(another_warehouse, RANGE)
    assert history(warehouse) == history(another_warehouse) != before


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_build_that_is_killed_leaves_whole_views_or_none_and_ends_alike_when_run_again(
    warehouse, warehouse_dsn, another_warehouse, seed
):
    for conn in (warehouse, another_warehouse):
        put(conn, facts(seed))
    build_all(another_warehouse, RANGE)
    complete = history(another_warehouse)
    killed = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.build_process", warehouse_dsn,
         *(instant.isoformat() for instant in (RANGE.start, RANGE.end, NOW))],
        cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"begun\n"
    until = time.monotonic() + random.Random(seed).random() * 0.8
    while time.monotonic() < until and killed.poll() is None:
        pass
    killed.kill()
    killed.wait()
    left = history(warehouse)
    assert all(left[name] in ([], complete[name]) for name in FEATURE_VIEWS)
    build_all(warehouse, RANGE)
    assert history(warehouse) == complete
    print(f"seed {seed}: {sum(bool(rows) for rows in left.values())} of {len(left)} views were built")


def test_online_answers_what_history_does_to_the_bit(warehouse, online):
    put(warehouse, facts(5))
    build_all(warehouse, RANGE)
    online.publish(warehouse, now=RANGE.end)
    for at in (RANGE.end, RANGE.end + DAY):
        expected = History(warehouse, FEATURE_VIEWS.values()).online(KEYS, at=at)
        assert bits(online.read(KEYS, at=at)) == bits(expected)
