"""Binary COPY: what comes back by SELECT is what went in, for every type that an entity may have."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg import sql

from include.entities.entity import DIGEST, INSTANT, MONEY
from include.warehouse import copy as copy_module
from include.warehouse.connection import connect_warehouse
from include.warehouse.copy import copy_rows
from tests.properties import examples

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "whole": (pa.int64(), "bigint"),
    "words": (pa.string(), "text"),
    "flag": (pa.bool_(), "boolean"),
    "real": (pa.float64(), "double precision"),
    "amount": (MONEY, "numeric(18, 4)"),
    "instant": (INSTANT, "timestamptz"),
    "day": (pa.date32(), "date"),
    "digest": (DIGEST, "uuid"),
    "document": (pa.string(), "jsonb"),
}
SCHEMA = pa.schema([pa.field(name, kind) for name, (kind, _) in COLUMNS.items()])
GREATEST = 10**18 - 1
EXTREMES: list[dict[str, Any]] = [
    dict.fromkeys(COLUMNS),
    {
        "whole": -(2**63),
        "words": "",
        "flag": False,
        "real": -math.inf,
        "amount": Decimal(-GREATEST).scaleb(-4),
        "instant": datetime(1, 1, 1, tzinfo=UTC),
        "day": date.min,
        "digest": bytes(16),
        "document": "{}",
    },
    {
        "whole": 2**63 - 1,
        "words": "ñ 漢字 🦊 \\N \t\n\"'\x01",
        "flag": True,
        "real": math.nan,
        "amount": Decimal(GREATEST).scaleb(-4),
        "instant": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        "day": date.max,
        "digest": b"\xff" * 16,
        "document": '{"a": ["\\u00e9", {"b": null}], "n": 12345678901234567890}',
    },
    *({**dict.fromkeys(COLUMNS), "amount": Decimal(text)} for text in ("0", "0.0001", "-0.0001", "9999.9999", "10000")),
    *({**dict.fromkeys(COLUMNS), "amount": Decimal(text)} for text in ("100000000", "0.5", "-12345678", "1000.01")),
    {**dict.fromkeys(COLUMNS), "instant": datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "real": math.inf},
]

_text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**25), 10**25) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)
rows_of_any_kind = st.lists(
    st.fixed_dictionaries(
        {
            "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
            "words": st.none() | _text,
            "flag": st.none() | st.booleans(),
            "real": st.none() | st.floats(),
            "amount": st.none() | st.integers(-GREATEST, GREATEST).map(lambda units: Decimal(units).scaleb(-4)),
            "instant": st.none() | st.datetimes(timezones=st.just(UTC)),
            "day": st.none() | st.dates(),
            "digest": st.none() | st.binary(min_size=16, max_size=16),
            "document": st.none() | st.dictionaries(_text, _json, max_size=3).map(json.dumps),
        }
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def conn(postgres_server):
    with connect_warehouse(postgres_server.dsn("postgres")) as connection:
        definition = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, (_, kind) in COLUMNS.items()
        )
        connection.execute(sql.SQL("CREATE TEMPORARY TABLE copied (place serial, {})").format(definition))
        yield connection
        connection.rollback()


def there_and_back(conn: psycopg.Connection, rows: pa.Table) -> list[dict[str, Any]]:
    conn.execute("DELETE FROM copied")
    with conn.cursor() as cursor:
        table = sql.Identifier("pg_temp", "copied")
        columns, batches = list(COLUMNS), rows.to_batches()
        copy_rows(cursor, table=table, columns=columns, schema=SCHEMA, batches=batches, json_columns={"document"})
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    stored = conn.execute(sql.SQL("SELECT {} FROM copied ORDER BY place").format(names)).fetchall()
    return [comparable(dict(zip(COLUMNS, row, strict=True))) for row in stored]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """The same for a value as it went in and as psycopg reads it."""
    shown = dict(row)
    if isinstance(row["real"], float) and math.isnan(row["real"]):
        shown["real"] = "NaN"
    if isinstance(row["digest"], UUID):
        shown["digest"] = row["digest"].bytes
    if isinstance(row["document"], str):
        shown["document"] = json.loads(row["document"])
    return shown


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@examples(40)
@given(rows=rows_of_any_kind)
@example(rows=EXTREMES)
@example(rows=[])
def test_every_value_of_every_type_comes_back_as_it_went_in(conn, rows):
    assert there_and_back(conn, as_table(rows)) == list(map(comparable, rows))


@examples(40)
@given(rows=rows_of_any_kind, more=rows_of_any_kind, data=st.data())
def test_slices_filters_and_joined_tables_send_exactly_their_own_rows(conn, rows, more, data):
    both = pa.concat_tables([as_table(rows), as_table(more)])
    everything = [*rows, *more]
    offset = data.draw(st.integers(0, len(everything)))
    length = data.draw(st.integers(0, len(everything)))
    sliced = everything[offset : offset + length]
    assert there_and_back(conn, both.slice(offset, length)) == list(map(comparable, sliced))
    mask = data.draw(st.lists(st.booleans(), min_size=len(everything), max_size=len(everything)))
    filtered = both.filter(pa.array(mask, pa.bool_()))
    assert there_and_back(conn, filtered) == [
        comparable(row) for row, keep in zip(everything, mask, strict=True) if keep
    ]


def test_a_table_longer_than_a_chunk_arrives_whole_and_in_order(conn, monkeypatch):
    monkeypatch.setattr(copy_module, "ROWS_PER_CHUNK", 7)
    rows = [{**dict.fromkeys(COLUMNS), "whole": number, "words": f"w{number}"} for number in range(100)]
    assert there_and_back(conn, as_table(rows)) == rows


def test_text_that_postgres_cannot_store_fails_the_copy_and_stores_nothing(conn):
    rows = as_table([{**dict.fromkeys(COLUMNS), "whole": 1}, {**dict.fromkeys(COLUMNS), "words": "a\x00b"}])
    conn.execute("DELETE FROM copied")
    with pytest.raises(psycopg.DataError, match="0x00"), conn.transaction():
        there_and_back(conn, rows)
    assert conn.execute("SELECT count(*) FROM copied").fetchone() == (0,)
