"""The role that the API enters the warehouse as: the tests of the API run as it; these are the doors that stay shut."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from include.warehouse.connection import connect_warehouse
from tests.own_database import as_api

ITS_OWN_SCHEMAS = ("features", "ml")


@pytest.fixture
def as_role(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    with connect_warehouse(as_api(warehouse_dsn)) as conn:
        yield conn


def test_it_writes_to_no_table_and_makes_none(as_role):
    writable = as_role.execute(
        """
        SELECT oid::regclass::text FROM pg_class
        WHERE
            relkind IN ('r', 'p', 'v', 'm', 'S') AND relnamespace::regnamespace::text !~ '^pg_|^information_schema$'
            AND has_table_privilege(oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES, MAINTAIN')
        UNION ALL
        SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND has_schema_privilege(oid, 'CREATE')
        """
    ).fetchall()
    assert writable == []


def test_it_reads_features_predictions_and_keys_and_of_the_shop_only_who_and_what_there_is(as_role):
    readable = as_role.execute(
        """
        SELECT relnamespace::regnamespace::text AS schema_name, relname, attname
        FROM pg_attribute INNER JOIN pg_class ON attrelid = pg_class.oid
        WHERE
            relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped
            AND relnamespace::regnamespace::text !~ '^pg_|^information_schema$'
            AND has_schema_privilege(relnamespace, 'USAGE') AND has_column_privilege(attrelid, attnum, 'SELECT')
        """
    ).fetchall()
    elsewhere = {(schema, table, column) for schema, table, column in readable if schema not in ITS_OWN_SCHEMAS}
    of_keys = {each for each in elsewhere if each[:2] == ("serving", "api_keys")}
    assert of_keys
    assert elsewhere - of_keys == {
        ("shop", "customers", "customer_id"),
        ("shop", "orders", "customer_id"),
        ("shop", "products", "product_id"),
    }
    assert {schema for schema, _, _ in readable} >= set(ITS_OWN_SCHEMAS)


def test_a_persons_data_is_refused(as_role):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role.execute("SELECT email FROM shop.customers")
