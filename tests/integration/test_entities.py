"""Entities against the tables they are kept in, their rules against rows that break them, their expectations."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from include.entities.entity import DIGEST, INSTANT, MONEY, Entity, Resolution
from include.entities.registry import ENTITIES
from include.ingestion.judge import first_broken_rule
from include.sources.factory import SOURCES

EVERY = [each for entity in ENTITIES.values() for each in (entity, entity.child) if each is not None]
POSTGRES_TYPES = {
    pa.int64(): "bigint",
    pa.string(): "text",
    pa.bool_(): "boolean",
    pa.float64(): "double precision",
    MONEY: "numeric(18,4)",
    INSTANT: "timestamp with time zone",
    pa.date32(): "date",
    DIGEST: "uuid",
}
PROVENANCE = {"source": "text", "first_seen_at": "timestamp with time zone", "ingested_at": "timestamp with time zone"}
GOOD: dict[pa.DataType, Any] = {
    pa.int64(): 5,
    pa.string(): "text",
    pa.bool_(): True,
    pa.float64(): 5.0,
    MONEY: Decimal(5),
    INSTANT: datetime(2024, 3, 1, tzinfo=UTC),
    pa.date32(): date(2024, 3, 1),
    DIGEST: bytes(16),
}
BROKEN: dict[tuple[str, str], dict[str, Any]] = {
    ("customers", "customer_id_positive"): {"customer_id": 0},
    ("products", "product_id_positive"): {"product_id": 0},
    ("products", "price_not_negative"): {"price": Decimal("-0.0001")},
    ("orders", "total_not_negative"): {"total_amount": Decimal("-0.0001")},
    ("orders", "paid_after_placed"): {"paid_at": datetime(2024, 2, 29, tzinfo=UTC)},
    ("order_lines", "quantity_positive"): {"quantity": 0},
    ("order_lines", "product_price_not_negative"): {"kind": "product", "unit_price": Decimal("-0.0001")},
    ("refunds", "amount_not_negative"): {"refund_amount": Decimal("-0.0001")},
    ("refund_lines", "quantity_not_negative"): {"quantity": -1},
    ("events", "event_id_length"): {"event_id": ""},
    ("weather_daily", "temperature_order"): {"temperature_max_celsius": 4.9},
    ("weather_daily", "precipitation_not_negative"): {"precipitation_mm": -0.1},
    ("stock_prices_daily", "low_not_above_high"): {"low_price": Decimal("5.0001")},
    ("stock_prices_daily", "price_positive"): {"low_price": Decimal(0)},
    ("stock_prices_daily", "volume_not_negative"): {"volume": -1},
}


def columns_in(conn, entity: Entity) -> dict[str, tuple[str, bool]]:
    rows = conn.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
        """,
        (entity.table,),
    ).fetchall()
    return {name: (kind, is_required) for name, kind, is_required in rows}


def good_row(entity: Entity, **changes: Any) -> dict[str, Any]:
    return {column.name: GOOD[column.type] for column in entity.arrow_schema} | changes


@pytest.mark.parametrize("entity", EVERY, ids=lambda entity: entity.name)
def test_the_table_has_exactly_the_entitys_columns_in_the_types_that_binary_copy_sends(warehouse, entity):
    expected = {
        column.name: "jsonb" if column.name in entity.json_columns else POSTGRES_TYPES[column.type]
        for column in entity.arrow_schema
    }
    assert {name: kind for name, (kind, _) in columns_in(warehouse, entity).items()} == expected | PROVENANCE


@pytest.mark.parametrize("entity", EVERY, ids=lambda entity: entity.name)
def test_the_tables_primary_key_is_the_entitys_key(warehouse, entity):
    rows = warehouse.execute(
        """
        SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indrelid = %s::regclass AND indisprimary
        """,
        (entity.table,),
    ).fetchall()
    assert {name for (name,) in rows} == set(entity.key)


@pytest.mark.parametrize("entity", EVERY, ids=lambda entity: entity.name)
def test_a_column_may_be_null_in_the_table_if_and_only_if_it_may_be_none_in_the_record(warehouse, entity):
    required = {name for name, (_, is_required) in columns_in(warehouse, entity).items() if is_required}
    annotations = entity.record.__annotations__
    optional = {name for name in entity.columns if str(annotations[name]).endswith("| None")}
    assert required == (set(entity.columns) - optional) | {*PROVENANCE, "source_updated_at", "content_digest"}


@pytest.mark.parametrize("entity", EVERY, ids=lambda entity: entity.name)
def test_what_an_entity_says_of_its_columns_names_columns_that_it_has(entity):
    assert set(entity.key) <= set(entity.columns)
    assert set(entity.resolutions) <= set(entity.columns) - set(entity.key)
    assert entity.event_time is None or entity.event_time in entity.columns
    named = {each.arguments["column"] for each in entity.expectations if "column" in each.arguments}
    assert named <= set(entity.columns)
    merged = {name for name, how in entity.resolutions.items() if how is Resolution.MERGE_JSON}
    assert merged <= entity.json_columns


def test_every_rule_has_a_row_here_that_breaks_it():
    assert set(BROKEN) == {(entity.name, rule.rule_id) for entity in EVERY for rule in entity.rules}


@pytest.mark.parametrize(("entity_name", "rule_id"), BROKEN)
def test_every_rule_lets_a_good_row_in_and_refuses_the_one_that_breaks_it(entity_name, rule_id):
    entity = next(each for each in EVERY if each.name == entity_name)
    rows = [good_row(entity), good_row(entity, **BROKEN[entity_name, rule_id])]
    broken = first_broken_rule(entity, pa.Table.from_pylist(rows, schema=entity.arrow_schema))
    assert broken[0] == -1
    assert entity.rules[broken[1]].rule_id == rule_id


@pytest.mark.parametrize("entity", EVERY, ids=lambda entity: entity.name)
def test_a_rule_over_a_null_is_met(entity):
    nulls = {name: None for name in entity.columns if name not in entity.key}
    rows = pa.Table.from_pylist([good_row(entity, **nulls)], schema=entity.arrow_schema)
    assert first_broken_rule(entity, rows).tolist() == [-1]
    assert first_broken_rule(entity, rows.slice(0, 0)).tolist() == []


def test_every_expectation_is_one_that_great_expectations_knows_and_accepts():
    from great_expectations import expectations as library

    for entity in EVERY:
        for each in entity.expectations:
            getattr(library, each.kind)(**each.arguments)


def test_every_entity_has_a_source_and_every_source_an_entity():
    assert set(SOURCES) == set(ENTITIES)
    assert {name: build.entity for name, (_, build) in SOURCES.items()} == ENTITIES
