"""What holds of every mart: refreshed in any way it is the same, no change is lost, nothing is written in vain."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection, sql
from psycopg.errors import NumericValueOutOfRange

from include.analytics.mart import ByDay
from include.analytics.refresh import data_until, refresh
from include.analytics.registry import MARTS, UnknownMart, mart_named
from include.entities.window import Window
from include.warehouse.connection import connect_warehouse
from include.warehouse.receipts import Receipt
from tests.integration.feature_shop import load, random_facts

START = datetime(2024, 1, 15, tzinfo=UTC)
DAYS = 60
UNTIL = START + timedelta(days=DAYS)
NOW = datetime(2025, 1, 1, tzinfo=UTC)
WINDOW = Window(START, UNTIL)
FAILING = """
CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE numeric_value_out_of_range; END'
"""
DAILY = {name: mart.kept_up for name, mart in MARTS.items() if isinstance(mart.kept_up, ByDay)}


def refresh_all(
    conn: Connection, *, rebuild: bool = False, time_zone: str = "UTC", until: datetime | None = UNTIL
) -> dict[str, Receipt]:
    receipts = {
        name: refresh(conn, mart, window=WINDOW, until=until, now=NOW, time_zone=time_zone, rebuild=rebuild)
        for name, mart in MARTS.items()
    }
    conn.commit()
    return receipts


def contents(conn: Connection, *, with_place: bool = False) -> dict[str, list[tuple]]:
    """Every row of every mart as text; with where and by which transaction it was written, if asked."""
    what = "ctid::text, xmin::text, mart::text" if with_place else "mart::text"
    return {
        name: conn.execute(
            sql.SQL("SELECT {} FROM {} AS mart ORDER BY mart::text").format(
                sql.SQL(what), sql.Identifier("analytics", name)
            )
        ).fetchall()
        for name in MARTS
    }


def columns_of(conn: Connection, name: str) -> list[tuple[str, str | None, bool]]:
    return conn.execute(
        """
        SELECT attname, col_description(attrelid, attnum), attnotnull FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """,
        (f"analytics.{name}",),
    ).fetchall()


@pytest.mark.parametrize("name", MARTS)
def test_its_sql_gives_the_columns_of_its_table_which_are_all_described(warehouse, name):
    mart = MARTS[name]
    columns = columns_of(warehouse, name)
    given = warehouse.execute(sql.SQL("SELECT * FROM ({}\n) AS made LIMIT 0").format(sql.SQL(mart.query))).description
    assert sorted(column.name for column in given) == sorted(column for column, _, _ in columns)
    assert [column for column, description, _ in columns if not description] == []
    assert set(mart.key) <= {column for column, _, is_required in columns if is_required}
    (described,) = warehouse.execute("SELECT obj_description(%s::regclass)", (f"analytics.{name}",)).fetchone()
    assert described.startswith("One row per ")


@pytest.mark.parametrize("name", MARTS)
def test_it_reads_the_tables_that_it_names_and_no_others(warehouse, name):
    """Asked of the planner, which knows what a query reads."""
    (plan,) = warehouse.execute(
        sql.SQL("EXPLAIN (FORMAT json, VERBOSE) SELECT * FROM ({}\n) AS made").format(sql.SQL(MARTS[name].query))
    ).fetchone()
    assert tables_in(plan[0]["Plan"]) == {table for table in MARTS[name].inputs if not table.startswith("pg_")}


def tables_in(plan: dict) -> set[str]:
    own = {f"{plan['Schema']}.{plan['Relation Name']}"} if "Relation Name" in plan else set()
    own = {table for table in own if not table.startswith("pg_catalog.")}
    return own.union(*(tables_in(child) for child in plan.get("Plans", [])))


def test_days_are_noted_for_the_marts_that_are_kept_day_by_day_and_for_no_others(warehouse):
    readers = set(warehouse.execute("SELECT mart, source FROM analytics.day_readers").fetchall())
    assert {mart for mart, _ in readers} == set(DAILY)
    noted = {"shop.orders", "shop.refunds", "shop.events", "shop.product_versions"}
    for name in DAILY:
        assert {source for mart, source in readers if mart == name} == set(MARTS[name].inputs) & noted


def test_an_empty_shop_has_marts_too(warehouse):
    refresh_all(warehouse, until=None)
    again = refresh_all(warehouse, until=None)
    assert {(each.inserted, each.updated, each.deleted) for each in again.values()} == {(0, 0, 0)}


@pytest.mark.parametrize("time_zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
def test_refreshed_after_each_load_it_equals_one_made_at_once(warehouse, time_zone):
    facts = random_facts(5, start=START, days=DAYS, customers=12, count=240)
    rng = random.Random(5)
    rng.shuffle(facts)
    for part in range(4):
        load(warehouse, facts[part::4])
        refresh_all(warehouse, time_zone=time_zone)
    step_by_step = contents(warehouse)
    assert all(step_by_step[name] for name in DAILY)
    refresh_all(warehouse, rebuild=True, time_zone=time_zone)
    assert contents(warehouse) == step_by_step


def test_what_changes_and_what_goes_is_followed(warehouse):
    load(warehouse, random_facts(6, start=START, days=DAYS, count=200))
    refresh_all(warehouse)
    before = contents(warehouse)
    warehouse.execute("UPDATE shop.orders SET paid_at = paid_at + interval '9 days' WHERE order_id % 7 = 0")
    warehouse.execute("UPDATE shop.orders SET total_amount = total_amount + 1 WHERE order_id % 11 = 0")
    warehouse.execute("DELETE FROM shop.refunds WHERE refund_id % 2 = 0")
    warehouse.execute("DELETE FROM shop.events WHERE ctid IN (SELECT ctid FROM shop.events LIMIT 10)")
    warehouse.commit()
    refresh_all(warehouse)
    after = contents(warehouse)
    assert any(before[name] != after[name] for name in DAILY)
    refresh_all(warehouse, rebuild=True)
    assert contents(warehouse) == after


def test_a_refresh_with_nothing_new_writes_nothing_not_even_when_all_is_made_anew(warehouse):
    load(warehouse, random_facts(7, start=START, days=DAYS, count=150))
    refresh_all(warehouse)
    before = contents(warehouse, with_place=True)
    for receipts in (refresh_all(warehouse), refresh_all(warehouse, rebuild=True)):
        assert {(each.inserted, each.updated, each.deleted) for each in receipts.values()} == {(0, 0, 0)}
    assert contents(warehouse, with_place=True) == before


@pytest.mark.parametrize("name", DAILY)
def test_only_the_days_that_changed_are_made_anew(warehouse, name):
    load(warehouse, random_facts(8, start=START, days=DAYS, count=150))
    refresh_all(warehouse)
    last = warehouse.execute("SELECT max(paid_at)::date FROM shop.orders").fetchone()[0]
    warehouse.execute("UPDATE shop.orders SET total_amount = total_amount + 1 WHERE paid_at::date = %s", (last,))
    (last,) = warehouse.execute("SELECT max(occurred_at)::date FROM shop.events").fetchone()
    warehouse.execute("UPDATE shop.events SET properties = '{\"a\": 1}' WHERE occurred_at::date = %s", (last,))
    warehouse.commit()
    receipt = refresh(warehouse, MARTS[name], window=WINDOW, until=UNTIL, now=NOW)
    assert 1 <= receipt.details["days"] <= 3 + DAILY[name].looks_back_days + DAILY[name].looks_ahead_days
    whole = refresh(warehouse, MARTS[name], window=WINDOW, until=UNTIL, now=NOW, rebuild=True)
    assert whole.details["days"] is None
    assert receipt.received < whole.received


def test_facts_that_arrive_during_a_refresh_are_taken_in_by_the_next(warehouse, warehouse_dsn):
    load(warehouse, random_facts(9, start=START, days=DAYS, count=80))
    refresh_all(warehouse)
    with connect_warehouse(warehouse_dsn) as loading:
        loading.execute("UPDATE shop.orders SET total_amount = total_amount + 5")
        loading.execute("UPDATE shop.events SET occurred_at = occurred_at + interval '1 day'")
        refresh_all(warehouse)  # Sees nothing of it yet.
        loading.commit()
    refresh_all(warehouse)
    step_by_step = contents(warehouse)
    refresh_all(warehouse, rebuild=True)
    assert contents(warehouse) == step_by_step


@pytest.mark.parametrize("name", DAILY)
def test_a_refresh_that_fails_leaves_the_mart_and_what_is_stale_as_they_were(warehouse, name):
    load(warehouse, random_facts(10, start=START, days=DAYS, count=80))
    refresh_all(warehouse)
    before = contents(warehouse, with_place=True)
    warehouse.execute("UPDATE shop.orders SET total_amount = total_amount + 5")
    warehouse.execute("UPDATE shop.events SET occurred_at = occurred_at + interval '1 day'")
    warehouse.execute(FAILING)
    warehouse.execute(
        sql.SQL("CREATE TRIGGER fails AFTER INSERT OR UPDATE OR DELETE ON {} EXECUTE FUNCTION public.fail()").format(
            sql.Identifier("analytics", name)
        )
    )
    warehouse.commit()
    with pytest.raises(NumericValueOutOfRange):
        refresh(warehouse, MARTS[name], window=WINDOW, until=UNTIL, now=NOW)
    warehouse.rollback()
    assert contents(warehouse, with_place=True) == before
    warehouse.execute(sql.SQL("DROP TRIGGER fails ON {}").format(sql.Identifier("analytics", name)))
    refresh_all(warehouse)
    step_by_step = contents(warehouse)
    refresh_all(warehouse, rebuild=True)
    assert contents(warehouse) == step_by_step


def test_what_it_reads_of_a_table_filled_a_moment_ago_is_counted_first(warehouse):
    load(warehouse, random_facts(14, start=START, days=DAYS, count=30))
    counted = "SELECT reltuples FROM pg_class WHERE oid = 'shop.order_lines'::regclass"
    assert warehouse.execute(counted).fetchone() == (-1,)
    refresh(warehouse, MARTS["order_values_daily"], window=WINDOW, until=UNTIL, now=NOW)
    assert (
        warehouse.execute(counted).fetchone() == warehouse.execute("SELECT count(*) FROM shop.order_lines").fetchone()
    )


def test_another_time_zone_makes_all_days_anew(warehouse):
    load(warehouse, random_facts(11, start=START, days=DAYS, count=80))
    refresh_all(warehouse)
    receipts = refresh_all(warehouse, time_zone="Asia/Tokyo")
    assert {receipts[name].details["days"] for name in DAILY} == {None}


def test_each_refresh_leaves_a_receipt_and_a_state(warehouse):
    load(warehouse, random_facts(12, start=START, days=DAYS, count=80))
    refresh_all(warehouse)
    states = dict(warehouse.execute("SELECT mart, row_count FROM analytics.mart_states").fetchall())
    assert states == {name: len(rows) for name, rows in contents(warehouse).items()}
    assert set(states) == set(MARTS)
    written = warehouse.execute("SELECT entity, received FROM ops.receipts WHERE step = 'refresh'").fetchall()
    assert dict(written) == states


def test_the_data_ends_where_the_last_load_of_orders_did(warehouse):
    assert data_until(warehouse) is None
    load(warehouse, random_facts(13, start=START, days=DAYS, count=30))
    assert data_until(warehouse) == datetime(2100, 1, 1, tzinfo=UTC)


def test_an_unknown_mart_is_named_beside_those_there_are():
    with pytest.raises(UnknownMart, match=r"'sales'. There are: .*sales_daily"):
        mart_named("sales")
