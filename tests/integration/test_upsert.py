"""The merge, against an oracle that applies versions one by one in plain Python."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.entities.customers import CUSTOMERS, Customer
from include.entities.entity import DIGEST, Entity
from include.entities.orders import ORDERS, Order, OrderLine
from include.entities.products import PRODUCTS, Product
from include.entities.weather_daily import WEATHER_DAILY, WeatherDay
from include.entities.window import Window
from include.warehouse.connection import connect_warehouse
from include.warehouse.upsert import SchemaMismatch, upsert_rows
from tests.record_digest import digest_of

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
WINDOW = Window(EPOCH, EPOCH + timedelta(days=1))
NOW = datetime(2024, 1, 2, 3, tzinfo=UTC)
COUNTS = ("inserted", "updated", "unchanged", "stale", "duplicate")


def content_digest(record: Any) -> bytes:
    return digest_of(replace(record, source_updated_at=EPOCH))


def table_of(entity: Entity, records: list[Any]) -> pa.Table:
    versions = [record.source_updated_at for record in records]
    return entity.to_arrow(records, versions=versions, digests=[content_digest(record) for record in records])


def customer(key: int, version: int, *, email: str | None, country: str | None, registered: int | None) -> Customer:
    return Customer(
        customer_id=key,
        email=email,
        first_name=None,
        last_name=None,
        country=country,
        registered_at=None if registered is None else EPOCH - timedelta(days=registered),
        is_paying=version % 2 == 0,
        source_updated_at=EPOCH + timedelta(hours=version),
    )


customers = st.builds(
    customer,
    st.integers(1, 4),
    st.integers(0, 4),
    email=st.sampled_from([None, "", "a@x", "b@x"]),
    country=st.sampled_from([None, "GB", "DE"]),
    registered=st.sampled_from([None, 1, 2]),
)


class CustomerOracle:
    """Applies versions one by one; the obvious way, and the slow one."""

    def __init__(self) -> None:
        self.rows: dict[int, Customer] = {}
        self.versions: dict[int, tuple[datetime, bytes]] = {}

    def load(self, batch: list[Customer]) -> dict[str, int]:
        counts = dict.fromkeys(COUNTS, 0)
        for key in {each.customer_id for each in batch}:
            incoming = sorted((version_of(each), each) for each in batch if each.customer_id == key)
            stored, best = self.versions.get(key), incoming[-1][0]
            counts["duplicate"] += len(incoming) - 1
            if stored is None:
                counts["inserted"] += 1
            elif best > stored:
                counts["updated"] += 1
            else:
                counts["unchanged" if best == stored else "stale"] += 1
            for version, each in incoming:
                if key not in self.versions or version > self.versions[key]:
                    self.rows[key] = self.merged(each)
                    self.versions[key] = version
        return counts

    def merged(self, newer: Customer) -> Customer:
        old = self.rows.get(newer.customer_id, newer)
        return replace(
            newer,
            email=newer.email if newer.email is not None else old.email,
            country=newer.country if newer.country is not None else old.country,
            registered_at=old.registered_at if old.registered_at is not None else newer.registered_at,
        )


def version_of(record: Any) -> tuple[datetime, bytes]:
    return record.source_updated_at, content_digest(record)


def comparable(each: Customer) -> tuple:
    return (each.customer_id, each.email, each.country, each.registered_at, each.is_paying, each.source_updated_at)


STORED = "SELECT customer_id, email, country, registered_at, is_paying, source_updated_at FROM shop.customers"


def snapshot_of(conn: psycopg.Connection, *tables: str) -> list[list[tuple]]:
    """Every byte of the tables: their rows as text, in key order."""
    return [conn.execute(f"SELECT t::text FROM {table} AS t ORDER BY t::text").fetchall() for table in tables]


def load(conn: psycopg.Connection, entity: Entity, records: list[Any], *, now: datetime = NOW) -> dict[str, int]:
    receipt = upsert_rows(conn, entity, table_of(entity, records), window=WINDOW, source="shop_api", now=now)[0]
    conn.commit()
    return {name: getattr(receipt, name) for name in COUNTS}


@pytest.fixture(scope="module")
def shared_warehouse(postgres_server):
    """One database for all examples of a property; each example empties the tables it uses."""
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE merge_properties TEMPLATE template_warehouse")
    with connect_warehouse(postgres_server.dsn("merge_properties")) as conn:
        yield conn


PROPERTY = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)


@PROPERTY
@given(batches=st.lists(st.lists(customers, max_size=6), min_size=1, max_size=4))
def test_any_sequence_of_versions_duplicates_and_repeats_gives_what_applying_them_one_by_one_gives(
    shared_warehouse, batches
):
    conn, oracle = shared_warehouse, CustomerOracle()
    conn.execute("TRUNCATE shop.customers")
    for batch in batches:
        assert load(conn, CUSTOMERS, batch) == oracle.load(batch)
        assert sorted(conn.execute(STORED).fetchall(), key=repr) == sorted(
            map(comparable, oracle.rows.values()), key=repr
        )


@PROPERTY
@given(batch=st.lists(customers, max_size=8))
def test_loading_a_batch_again_writes_nothing(shared_warehouse, batch):
    conn = shared_warehouse
    conn.execute("TRUNCATE shop.customers")
    load(conn, CUSTOMERS, batch)
    before = snapshot_of(conn, "shop.customers")
    again = load(conn, CUSTOMERS, batch, now=NOW + timedelta(days=1))
    assert snapshot_of(conn, "shop.customers") == before
    assert again["inserted"] == again["updated"] == again["stale"] == 0


def order(key: int, version: int, line_numbers: tuple[int, ...], *, price: int = 10) -> Order:
    lines = tuple(
        OrderLine(
            order_id=key,
            line_id=number,
            kind="product",
            product_id=number,
            sku=None,
            name=f"thing {number}",
            quantity=1,
            unit_price=Decimal(price),
            total_amount=Decimal(price),
        )
        for number in line_numbers
    )
    return Order(
        order_id=key,
        order_number=str(key),
        customer_id=1,
        status="completed",
        currency="GBP",
        total_amount=Decimal(price * len(set(line_numbers))),
        discount_amount=Decimal(0),
        shipping_amount=Decimal(0),
        tax_amount=Decimal(0),
        country=None,
        placed_at=EPOCH - timedelta(days=key),
        paid_at=EPOCH - timedelta(days=key),
        completed_at=None,
        cancelled_at=None,
        source_updated_at=EPOCH + timedelta(hours=version),
        lines=lines,
    )


def order_digest(each: Order) -> bytes:
    return digest_of((replace(each, lines=(), source_updated_at=EPOCH), sorted({digest_of(o) for o in each.lines})))


def load_orders(conn: psycopg.Connection, records: list[Order], **options: Any) -> list:
    receipts = insert_orders(conn, records, **options)
    conn.commit()
    return receipts


def insert_orders(conn: psycopg.Connection, records: list[Order], *, now: datetime = NOW, **options: Any) -> list:
    """As validation would hand them over: streamed, the lines with their order's version and digest."""
    child = ORDERS.child
    assert child is not None
    digests = [order_digest(each) for each in records]
    rows = ORDERS.to_arrow(records, versions=[each.source_updated_at for each in records], digests=digests)
    owners = [(each, digest) for each, digest in zip(records, digests, strict=True) for _ in each.lines]
    lines = [line for each in records for line in each.lines]
    line_rows = child.to_arrow(
        lines,
        versions=[owner.source_updated_at for owner, _ in owners],
        digests=[digest_of(line) for line in lines],
    ).append_column("parent_digest", pa.array([digest for _, digest in owners], DIGEST))
    streams = [each.to_reader(max_chunksize=2) for each in (rows, line_rows)]
    return upsert_rows(
        conn, ORDERS, streams[0], window=WINDOW, source="shop_api", now=now, child_rows=streams[1], **options
    )


orders = st.builds(
    order,
    st.integers(1, 3),
    st.integers(0, 3),
    st.lists(st.integers(1, 3), max_size=4).map(tuple),
    price=st.sampled_from([10, 20]),
)


@PROPERTY
@given(batches=st.lists(st.lists(orders, max_size=5), min_size=1, max_size=3), order_of_arrival=st.randoms())
def test_an_orders_lines_are_always_those_of_its_winning_version(shared_warehouse, batches, order_of_arrival):
    conn = shared_warehouse
    conn.execute("TRUNCATE shop.orders, shop.order_lines")
    received = 0
    for batch in batches:
        lines = load_orders(conn, batch)[1]
        received += lines.received - lines.unchanged - lines.stale - lines.duplicate - lines.updated
        received -= lines.deleted
    winners: dict[int, Order] = {}
    for each in sorted(itertools.chain(*batches), key=lambda o: (o.source_updated_at, order_digest(o))):
        winners[each.order_id] = each
    expected = sorted({(o.order_id, line.line_id, line.unit_price) for o in winners.values() for line in o.lines})
    stored = conn.execute("SELECT order_id, line_id, unit_price FROM shop.order_lines ORDER BY 1, 2").fetchall()
    assert stored == expected
    assert received == len(expected), "inserted minus deleted lines must be what the table holds"
    before = snapshot_of(conn, "shop.orders", "shop.order_lines")
    shuffled = list(itertools.chain(*batches))
    order_of_arrival.shuffle(shuffled)
    conn.execute("TRUNCATE shop.orders, shop.order_lines")
    load_orders(conn, shuffled)
    columns = "order_id, status, source_updated_at, content_digest"
    once = conn.execute(f"SELECT {columns} FROM shop.orders ORDER BY 1").fetchall()
    assert len(once) == len(before[0])
    assert conn.execute("SELECT order_id, line_id, unit_price FROM shop.order_lines ORDER BY 1, 2").fetchall() == stored


@PROPERTY
@given(batches=st.lists(st.tuples(st.booleans(), st.lists(orders, max_size=4)), min_size=1, max_size=4))
def test_a_correction_wins_over_what_is_as_old_and_nothing_else_changes(shared_warehouse, batches):
    conn = shared_warehouse
    conn.execute("TRUNCATE shop.orders, shop.order_lines")
    stored: dict[int, Order] = {}
    for is_correction, batch in batches:
        receipt = load_orders(conn, batch, is_correction=is_correction)[0]
        counts = dict.fromkeys(COUNTS, 0)
        for key in {each.order_id for each in batch}:
            versions = [(each.source_updated_at, order_digest(each), each) for each in batch if each.order_id == key]
            counts["duplicate"] += len(versions) - 1
            at, digest, best = max(versions, key=lambda version: version[:2])
            old = stored.get(key)
            before = (old.source_updated_at, order_digest(old)) if old else None
            if before is None:
                outcome = "inserted"
            elif before == (at, digest):
                outcome = "unchanged"
            elif (at, digest) > before or (is_correction and at == before[0]):
                outcome = "updated"
            else:
                outcome = "stale"
            counts[outcome] += 1
            if outcome in ("inserted", "updated"):
                stored[key] = best
        assert {name: getattr(receipt, name) for name in COUNTS} == counts
        expected = sorted({(o.order_id, line.line_id, line.unit_price) for o in stored.values() for line in o.lines})
        assert (
            conn.execute("SELECT order_id, line_id, unit_price FROM shop.order_lines ORDER BY 1, 2").fetchall()
            == expected
        )
        versions_stored = conn.execute("SELECT order_id, source_updated_at, content_digest FROM shop.orders").fetchall()
        assert {(key, at, digest.bytes) for key, at, digest in versions_stored} == {
            (key, each.source_updated_at, order_digest(each)) for key, each in stored.items()
        }


def test_a_repeated_correction_writes_nothing(warehouse):
    for price in (10, 20):
        load_orders(warehouse, [order(1, 1, (1, 2), price=price)], is_correction=True)
    before = snapshot_of(warehouse, "shop.orders", "shop.order_lines")
    receipts = load_orders(warehouse, [order(1, 1, (1, 2), price=20)], is_correction=True, now=NOW + timedelta(days=1))
    assert snapshot_of(warehouse, "shop.orders", "shop.order_lines") == before
    assert [receipt.unchanged for receipt in receipts] == [1, 2]


def test_an_older_version_of_an_order_changes_nothing(warehouse):
    load_orders(warehouse, [order(1, 5, (1, 2))])
    before = snapshot_of(warehouse, "shop.orders", "shop.order_lines")
    receipts = load_orders(warehouse, [order(1, 4, (3,), price=99)], now=NOW + timedelta(days=1))
    assert snapshot_of(warehouse, "shop.orders", "shop.order_lines") == before
    assert [receipt.stale for receipt in receipts] == [1, 1]


def test_a_newer_version_replaces_the_lines_and_counts_the_vanished_ones(warehouse):
    load_orders(warehouse, [order(1, 1, (1, 2)), order(2, 1, (1,))])
    orders_receipt, lines_receipt = load_orders(warehouse, [order(1, 2, (2, 3))])
    assert warehouse.execute("SELECT order_id, line_id FROM shop.order_lines ORDER BY 1, 2").fetchall() == [
        (1, 2),
        (1, 3),
        (2, 1),
    ]
    assert (orders_receipt.updated, lines_receipt.inserted, lines_receipt.unchanged, lines_receipt.deleted) == (
        1,
        1,
        1,
        1,
    )


def test_a_receipt_names_the_oldest_event_that_the_load_touched(warehouse):
    load_orders(warehouse, [order(3, 1, (1,)), order(9, 1, (1,))])
    receipt = load_orders(warehouse, [order(3, 2, (1, 2)), order(9, 1, (1,))])[0]
    assert receipt.oldest_event_at == EPOCH - timedelta(days=3)


def test_a_receipt_names_the_newest_version_that_came_in_whether_or_not_it_changed_anything(warehouse):
    versions = [order(1, 5, ()), order(1, 2, ()), order(2, 3, ())]
    for _ in range(2):
        receipt = load_orders(warehouse, versions)[0]
        assert receipt.details == {"newest_version_at": versions[0].source_updated_at.isoformat()}
    assert load_orders(warehouse, [])[0].details == {}


def test_json_columns_of_versions_are_merged(warehouse):
    def product(version: int, attributes: dict) -> Product:
        return Product(
            product_id=1,
            sku=None,
            name="mug",
            price=None,
            currency="GBP",
            categories=("kitchen",),
            attributes=attributes,
            stock_status=None,
            is_published=True,
            created_at=None,
            source_updated_at=EPOCH + timedelta(hours=version),
        )

    load(warehouse, PRODUCTS, [product(1, {"colour": "red", "size": "s"})])
    load(warehouse, PRODUCTS, [product(3, {"size": "l"}), product(2, {"size": "m", "handle": 1})])
    assert warehouse.execute("SELECT attributes FROM shop.products").fetchone() == (
        {"colour": "red", "size": "l", "handle": 1},
    )


def test_an_observed_row_read_again_with_the_same_content_is_unchanged(warehouse):
    def day(read_at: int, degrees: float) -> WeatherDay:
        return WeatherDay(
            location="London",
            weather_on=EPOCH.date(),
            country="GB",
            latitude=51.5,
            longitude=-0.1,
            temperature_max_celsius=degrees,
            temperature_min_celsius=1.0,
            precipitation_mm=None,
            wind_speed_max_kmh=None,
            source_updated_at=EPOCH + timedelta(hours=read_at),
        )

    load(warehouse, WEATHER_DAILY, [day(1, 5.0)])
    before = snapshot_of(warehouse, "signals.weather_daily")
    assert load(warehouse, WEATHER_DAILY, [day(2, 5.0)])["unchanged"] == 1
    assert snapshot_of(warehouse, "signals.weather_daily") == before
    assert load(warehouse, WEATHER_DAILY, [day(3, 6.0)])["updated"] == 1
    assert load(warehouse, WEATHER_DAILY, [day(2, 5.0)])["stale"] == 1


class _Killed(Exception):
    pass


def test_killing_the_load_at_any_statement_and_running_again_gives_the_same_tables(warehouse_dsn, monkeypatch):
    """The connection is cut by the server before each statement in turn, as a killed task's would be."""
    tables = ("shop.orders", "shop.order_lines")
    first = [order(key, 1, (1, 2)) for key in range(1, 6)]
    second = [order(1, 2, (2, 3)), order(2, 0, (1,)), order(3, 1, (1, 2)), order(3, 1, (1, 2)), order(7, 1, (1,))]
    with connect_warehouse(warehouse_dsn) as conn:
        load_orders(conn, first)
        untouched = snapshot_of(conn, *tables)
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
                load_orders(conn, second)
                finished = True
            except (_Killed, psycopg.OperationalError):
                finished = False
            monkeypatch.setattr(psycopg.Cursor, "execute", real_execute)
        with connect_warehouse(warehouse_dsn) as conn:
            if finished:
                complete = snapshot_of(conn, *tables)
                break
            assert snapshot_of(conn, *tables) == untouched, f"killed before statement {killed_at}, yet rows changed"
    assert killed_at > 10, "the load was never killed"
    assert complete != untouched
    with connect_warehouse(warehouse_dsn) as conn:
        load_orders(conn, second, now=NOW + timedelta(days=1))
        assert snapshot_of(conn, *tables) == complete


def test_a_missing_or_retyped_column_is_refused_before_anything_is_written(warehouse):
    rows = table_of(CUSTOMERS, [customer(1, 1, email=None, country=None, registered=1)])
    with pytest.raises(SchemaMismatch, match="column country is missing"):
        upsert_rows(warehouse, CUSTOMERS, rows.drop_columns(["country"]), window=WINDOW, source="s", now=NOW)
    retyped = rows.set_column(0, "customer_id", pa.array(["1"]))
    with pytest.raises(SchemaMismatch, match="customer_id is string"):
        upsert_rows(warehouse, CUSTOMERS, retyped, window=WINDOW, source="s", now=NOW)
    assert warehouse.execute("SELECT count(*) FROM shop.customers").fetchone() == (0,)


def test_a_full_table_that_postgres_takes_for_an_empty_one_is_counted_before_the_merge(warehouse_dsn, warehouse):
    """As after an automatic ANALYZE in the middle of a first load, whose rows nobody else can see yet."""
    taken_for = "SELECT relname, reltuples FROM pg_class WHERE relname IN ('orders', 'order_lines') ORDER BY 1 DESC"
    records = [order(key, 1, (1, 2)) for key in range(1, 301)]
    with warehouse.transaction(), psycopg.connect(warehouse_dsn, autocommit=True) as another:
        insert_orders(warehouse, records)
        another.execute("ANALYZE shop.orders, shop.order_lines")
    assert warehouse.execute(taken_for).fetchall() == [("orders", 0), ("order_lines", 0)]
    load_orders(warehouse, [order(1, 2, (2, 3))])
    assert warehouse.execute(taken_for).fetchall() == [("orders", 300), ("order_lines", 600)]


def test_two_loads_of_the_same_rows_at_once_insert_them_once(warehouse_dsn):
    import threading

    batch = [customer(key, 1, email=None, country="GB", registered=1) for key in range(1, 200)]
    outcomes: list[dict[str, int]] = []

    def run() -> None:
        with connect_warehouse(warehouse_dsn) as conn:
            outcomes.append(load(conn, CUSTOMERS, batch))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcome["inserted"] for outcome in outcomes) == [0, 199]
