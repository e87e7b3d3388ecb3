"""The merge of orders with their lines: the lines are those of the winning version, whatever came and was cut off."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.entities.orders import ORDERS, Order
from include.warehouse.connection import connect_warehouse
from include.warehouse.receipts import Receipt
from include.warehouse.upsert import upsert_rows
from tests.integration.ingestion_shop import TABLES, bytes_of
from tests.own_database import own_database
from tests.properties import examples
from tests.warehouse_records import NOW, WINDOW, digest, line, lines_of, order, table_of

COUNTS = ("inserted", "updated", "unchanged", "stale", "duplicate")
LINES = "SELECT order_id, line_id, quantity FROM shop.order_lines ORDER BY 1, 2"


def with_lines(key: int, hour: int, numbers: tuple[int, ...], *, quantity: int = 1) -> Order:
    """An order whose own columns change with its quantity too."""
    return order(key, hour, lines=[line(key, number, quantity) for number in numbers], number=str(quantity))


def load(conn: psycopg.Connection, records: list[Order], **options: Any) -> list[Receipt]:
    receipts = insert(conn, records, **options)
    conn.commit()
    return receipts


def insert(conn: psycopg.Connection, records: list[Order], *, now: datetime = NOW, **options: Any) -> list[Receipt]:
    """As validation would hand them over: streamed, the lines with their order's version and digest."""
    rows, lines = (table.to_reader(max_chunksize=2) for table in (table_of(ORDERS, records), lines_of(records)))
    return upsert_rows(conn, ORDERS, rows, window=WINDOW, source="shop_api", now=now, child_rows=lines, **options)


def emptied(conn: psycopg.Connection) -> psycopg.Connection:
    conn.execute("TRUNCATE shop.orders, shop.order_lines")
    return conn


def stored_lines(orders: Iterator[Order]) -> list[tuple[int, int, int]]:
    """What `LINES` gives when the tables hold these orders; a line that an order has twice is stored once."""
    return sorted({(each.order_id, own.line_id, own.quantity) for each in orders for own in each.lines})


@pytest.fixture(scope="module")
def shared_warehouse(postgres_server) -> Iterator[psycopg.Connection]:
    """One database for all examples of a property; each example empties the tables it uses."""
    with own_database(postgres_server, "merged_lines") as dsn, connect_warehouse(dsn) as conn:
        yield conn


orders = st.builds(
    with_lines,
    st.integers(1, 3),
    st.integers(0, 3),
    st.lists(st.integers(1, 3), max_size=4).map(tuple),
    quantity=st.sampled_from([1, 2]),
)

A_LINE_REPEATED_BY_A_NEWER_VERSION = [[with_lines(1, hour, (1,))] for hour in (0, 1)]


@examples(30)
@given(batches=st.lists(st.lists(orders, max_size=5), min_size=1, max_size=3), order_of_arrival=st.randoms())
@example(batches=A_LINE_REPEATED_BY_A_NEWER_VERSION, order_of_arrival=random.Random(0))
def test_an_orders_lines_are_always_those_of_its_winning_version(shared_warehouse, batches, order_of_arrival):
    conn = emptied(shared_warehouse)
    kept = 0
    for batch in batches:
        lines = load(conn, batch)[1]
        kept += lines.inserted - lines.deleted
    every = list(itertools.chain(*batches))
    winners = {each.order_id: each for each in sorted(every, key=lambda each: (each.source_updated_at, digest(each)))}
    stored = conn.execute(LINES).fetchall()
    assert stored == stored_lines(winners.values())
    assert kept == len(stored), "inserted minus deleted lines must be what the table holds"
    before = bytes_of(conn, TABLES["orders"])
    order_of_arrival.shuffle(every)
    load(emptied(conn), every)
    assert bytes_of(conn, TABLES["orders"]) == before


@examples(30)
@given(batches=st.lists(st.tuples(st.booleans(), st.lists(orders, max_size=4)), min_size=1, max_size=4))
def test_a_correction_wins_over_what_is_as_old_and_nothing_else_changes(shared_warehouse, batches):
    conn = emptied(shared_warehouse)
    stored: dict[int, Order] = {}
    for is_correction, batch in batches:
        receipt = load(conn, batch, is_correction=is_correction)[0]
        counts = dict.fromkeys(COUNTS, 0)
        for key in {each.order_id for each in batch}:
            versions = [(each.source_updated_at, digest(each), each) for each in batch if each.order_id == key]
            counts["duplicate"] += len(versions) - 1
            at, own_digest, best = max(versions, key=lambda version: version[:2])
            old = stored.get(key)
            before = (old.source_updated_at, digest(old)) if old else None
            if before is None:
                outcome = "inserted"
            elif before == (at, own_digest):
                outcome = "unchanged"
            elif (at, own_digest) > before or (is_correction and at == before[0]):
                outcome = "updated"
            else:
                outcome = "stale"
            counts[outcome] += 1
            if outcome in ("inserted", "updated"):
                stored[key] = best
        assert {name: getattr(receipt, name) for name in COUNTS} == counts
        assert conn.execute(LINES).fetchall() == stored_lines(stored.values())
        versions_stored = conn.execute("SELECT order_id, source_updated_at, content_digest FROM shop.orders").fetchall()
        assert {(key, at, found.bytes) for key, at, found in versions_stored} == {
            (key, each.source_updated_at, digest(each)) for key, each in stored.items()
        }


def test_a_repeated_correction_writes_nothing(warehouse):
    for quantity in (1, 2):
        load(warehouse, [with_lines(1, 1, (1, 2), quantity=quantity)], is_correction=True)
    before = bytes_of(warehouse, TABLES["orders"])
    receipts = load(warehouse, [with_lines(1, 1, (1, 2), quantity=2)], is_correction=True, now=NOW + timedelta(days=1))
    assert bytes_of(warehouse, TABLES["orders"]) == before
    assert [receipt.unchanged for receipt in receipts] == [1, 2]


def test_an_older_version_of_an_order_changes_nothing(warehouse):
    load(warehouse, [with_lines(1, 5, (1, 2))])
    before = bytes_of(warehouse, TABLES["orders"])
    receipts = load(warehouse, [with_lines(1, 4, (3,), quantity=9)], now=NOW + timedelta(days=1))
    assert bytes_of(warehouse, TABLES["orders"]) == before
    assert [receipt.stale for receipt in receipts] == [1, 1]


def test_a_receipt_names_the_newest_version_that_came_in_whether_or_not_it_changed_anything(warehouse):
    versions = [with_lines(1, 5, ()), with_lines(1, 2, ()), with_lines(2, 3, ())]
    for _ in range(2):
        receipt = load(warehouse, versions)[0]
        assert receipt.details == {"newest_version_at": versions[0].source_updated_at.isoformat()}
    assert load(warehouse, [])[0].details == {}


class _Killed(Exception):
    pass


def test_killing_the_load_at_any_statement_and_running_again_gives_the_same_tables(warehouse_dsn, monkeypatch):
    """The connection is cut by the server before each statement in turn, as a killed task's would be."""
    tables = TABLES["orders"]
    first = [with_lines(key, 1, (1, 2)) for key in range(1, 6)]
    second = [
        with_lines(1, 2, (2, 3)),
        with_lines(2, 0, (1,)),
        with_lines(3, 1, (1, 2)),
        with_lines(3, 1, (1, 2)),
        with_lines(7, 1, (1,)),
    ]
    with connect_warehouse(warehouse_dsn) as conn:
        load(conn, first)
        untouched = bytes_of(conn, tables)
    real_execute = psycopg.Cursor.execute
    killed_at = 0
    while True:
        killed_at += 1
        left = iter(range(killed_at, 0, -1))

        def execute(self, *arguments, left=left, **options):
            if next(left, 0) == 1:
                self.connection.pgconn.finish()
                raise _Killed
            return real_execute(self, *arguments, **options)

        with connect_warehouse(warehouse_dsn) as conn:
            monkeypatch.setattr(psycopg.Cursor, "execute", execute)
            try:
                load(conn, second)
                finished = True
            except (_Killed, psycopg.OperationalError):
                finished = False
            monkeypatch.setattr(psycopg.Cursor, "execute", real_execute)
        with connect_warehouse(warehouse_dsn) as conn:
            if finished:
                complete = bytes_of(conn, tables)
                break
            assert bytes_of(conn, tables) == untouched, f"killed before statement {killed_at}, yet rows changed"
    assert killed_at > 10, "the load was never killed"
    assert complete != untouched
    with connect_warehouse(warehouse_dsn) as conn:
        load(conn, second, now=NOW + timedelta(days=1))
        assert bytes_of(conn, tables) == complete


def test_a_full_table_that_postgres_takes_for_an_empty_one_is_counted_before_the_merge(warehouse_dsn, warehouse):
    """As after an automatic ANALYZE in the middle of a first load, whose rows nobody else can see yet."""
    taken_for = "SELECT relname, reltuples FROM pg_class WHERE relname IN ('orders', 'order_lines') ORDER BY 1 DESC"
    records = [with_lines(key, 1, (1, 2)) for key in range(1, 301)]
    with warehouse.transaction(), psycopg.connect(warehouse_dsn, autocommit=True) as another:
        insert(warehouse, records)
        another.execute("ANALYZE shop.orders, shop.order_lines")
    assert warehouse.execute(taken_for).fetchall() == [("orders", 0), ("order_lines", 0)]
    load(warehouse, [with_lines(1, 2, (2, 3))])
    assert warehouse.execute(taken_for).fetchall() == [("orders", 300), ("order_lines", 600)]
