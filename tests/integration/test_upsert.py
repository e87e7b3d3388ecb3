"""The merge, against an oracle that applies versions one by one in plain Python."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.customers import CUSTOMERS, Customer
from include.warehouse.connection import connect_warehouse
from include.warehouse.upsert import SchemaMismatch, upsert_rows
from tests.integration.ingestion_shop import bytes_of
from tests.own_database import own_database
from tests.properties import examples
from tests.warehouse_records import EPOCH, NOW, WINDOW, customer, digest, table_of

COUNTS = ("inserted", "updated", "unchanged", "stale", "duplicate")
CUSTOMER_TABLE = ("shop.customers",)

customers = st.builds(
    lambda key, hour, email, country, registered: customer(
        key,
        hour,
        email=email,
        country=country,
        registered_at=None if registered is None else EPOCH - timedelta(days=registered),
        is_paying=hour % 2 == 0,
    ),
    st.integers(1, 4),
    st.integers(0, 4),
    st.sampled_from([None, "", "a@x", "b@x"]),
    st.sampled_from([None, "GB", "DE"]),
    st.sampled_from([None, 1, 2]),
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


def version_of(each: Customer) -> tuple[datetime, bytes]:
    return each.source_updated_at, digest(each)


def comparable(each: Customer) -> tuple:
    return (each.customer_id, each.email, each.country, each.registered_at, each.is_paying, each.source_updated_at)


STORED = "SELECT customer_id, email, country, registered_at, is_paying, source_updated_at FROM shop.customers"


def load(conn: psycopg.Connection, records: list[Customer], *, now: datetime = NOW) -> dict[str, int]:
    rows = table_of(CUSTOMERS, records)
    receipt = upsert_rows(conn, CUSTOMERS, rows, window=WINDOW, source="shop_api", now=now)[0]
    conn.commit()
    return {name: getattr(receipt, name) for name in COUNTS}


@pytest.fixture(scope="module")
def shared_warehouse(postgres_server) -> Iterator[psycopg.Connection]:
    """One database for all examples of a property; each example empties the tables it uses."""
    with own_database(postgres_server, "merged_rows") as dsn, connect_warehouse(dsn) as conn:
        yield conn


@examples(30)
@given(batches=st.lists(st.lists(customers, max_size=6), min_size=1, max_size=4))
def test_any_sequence_of_versions_duplicates_and_repeats_gives_what_applying_them_one_by_one_gives(
    shared_warehouse, batches
):
    conn, oracle = shared_warehouse, CustomerOracle()
    conn.execute("TRUNCATE shop.customers")
    for batch in batches:
        assert load(conn, batch) == oracle.load(batch)
        assert sorted(conn.execute(STORED).fetchall(), key=repr) == sorted(
            map(comparable, oracle.rows.values()), key=repr
        )


@examples(30)
@given(batch=st.lists(customers, max_size=8))
def test_loading_a_batch_again_writes_nothing(shared_warehouse, batch):
    conn = shared_warehouse
    conn.execute("TRUNCATE shop.customers")
    load(conn, batch)
    before = bytes_of(conn, CUSTOMER_TABLE)
    again = load(conn, batch, now=NOW + timedelta(days=1))
    assert bytes_of(conn, CUSTOMER_TABLE) == before
    assert again["inserted"] == again["updated"] == again["stale"] == 0


def test_a_missing_or_retyped_column_is_refused_before_anything_is_written(warehouse):
    rows = table_of(CUSTOMERS, [customer(1)])
    with pytest.raises(SchemaMismatch, match="column country is missing"):
        upsert_rows(warehouse, CUSTOMERS, rows.drop_columns(["country"]), window=WINDOW, source="s", now=NOW)
    retyped = rows.set_column(0, "customer_id", pa.array(["1"]))
    with pytest.raises(SchemaMismatch, match="customer_id is string"):
        upsert_rows(warehouse, CUSTOMERS, retyped, window=WINDOW, source="s", now=NOW)
    assert warehouse.execute("SELECT count(*) FROM shop.customers").fetchone() == (0,)


def test_two_loads_of_the_same_rows_at_once_insert_them_once(warehouse_dsn):
    batch = [customer(key, country="GB") for key in range(1, 200)]
    outcomes: list[dict[str, int]] = []

    def run() -> None:
        with connect_warehouse(warehouse_dsn) as conn:
            outcomes.append(load(conn, batch))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(outcome["inserted"] for outcome in outcomes) == [0, 199]
