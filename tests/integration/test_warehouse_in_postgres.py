"""Postgres keeps the contract, and does what the in-memory doubles do whatever it is given."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.entity import Entity
from include.entities.orders import ORDER_LINES, ORDERS
from include.entities.products import PRODUCTS
from include.entities.weather_daily import WEATHER_DAILY
from include.warehouse.connection import connect_warehouse
from tests.own_database import own_database
from tests.properties import examples
from tests.quarantine_contract import QuarantineContract
from tests.warehouse_contract import WarehouseContract, upsert
from tests.warehouse_records import line, order, product, weather
from tests.warehouse_stores import StoresInMemory, StoresInPostgres


class TestWarehouseInPostgres(WarehouseContract, QuarantineContract):
    @pytest.fixture
    def stores(self, warehouse: psycopg.Connection) -> StoresInPostgres:
        return StoresInPostgres(warehouse)


@pytest.fixture(scope="module")
def shared_warehouse(postgres_server) -> Iterator[psycopg.Connection]:
    """One database for all examples of a property; each example empties the tables it uses."""
    with own_database(postgres_server, "repository_properties") as dsn, connect_warehouse(dsn) as conn:
        yield conn


orders = st.builds(
    lambda key, hour, numbers, placed, quantity: order(
        key, hour, lines=[line(key, number, quantity) for number in numbers], placed_day=placed, number=str(quantity)
    ),
    st.integers(1, 3),
    st.integers(0, 3),
    st.lists(st.integers(1, 3), max_size=3, unique=True),
    st.integers(0, 2),
    st.integers(1, 2),
)
products = st.builds(
    lambda key, hour, name, attributes: product(key, hour, name=name, attributes=attributes),
    st.integers(1, 3),
    st.integers(0, 3),
    st.sampled_from(["cup", "mug"]),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 1)),
)
days = st.builds(
    lambda day, hour, warmest: weather(day, hour, warmest=warmest),
    st.integers(0, 1),
    st.integers(0, 3),
    st.sampled_from([1.5, 2.5]),
)
KEYS = [
    (ORDERS, [(number,) for number in range(1, 4)]),
    (ORDER_LINES, [(owner, number) for owner in range(1, 4) for number in range(1, 4)]),
    (PRODUCTS, [(number,) for number in range(1, 4)]),
    (WEATHER_DAILY, [("London", weather(day, 0, warmest=0).weather_on) for day in range(2)]),
]


def batches(entity: Entity, records: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(st.tuples(st.just(entity), st.lists(records, max_size=5)), min_size=1, max_size=4)


@examples(40)
@given(loads=st.one_of(batches(ORDERS, orders), batches(PRODUCTS, products), batches(WEATHER_DAILY, days)))
def test_any_sequence_of_batches_gives_the_same_rows_and_receipts_in_postgres_and_in_memory(shared_warehouse, loads):
    shared_warehouse.execute("TRUNCATE shop.orders, shop.order_lines, shop.products, signals.weather_daily")
    in_postgres, in_memory = StoresInPostgres(shared_warehouse), StoresInMemory()
    for entity, records in loads:
        assert upsert(in_postgres.repository, entity, records) == upsert(in_memory.repository, entity, records)
    for entity, keys in KEYS:
        for key in keys:
            assert in_postgres.repository.get(entity, key) == in_memory.repository.get(entity, key), (entity.name, key)
