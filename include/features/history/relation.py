"""Entity rows that are in the database: a relation, or what a SELECT gives."""

from __future__ import annotations

import re

import pyarrow as pa
from psycopg import Connection, sql

_NAME = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
_ROWS_AT_ONCE = 65_536
_ARROW_TYPES: dict[int, pa.DataType] = {
    16: pa.bool_(),
    20: pa.int64(),
    21: pa.int16(),
    23: pa.int32(),
    25: pa.string(),
    700: pa.float32(),
    701: pa.float64(),
    1043: pa.string(),
    1082: pa.date32(),
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", tz="UTC"),
}
"""The number of a type in Postgres to its Arrow type; all others come as text."""


def relation_sql(relation: str) -> sql.Composable:
    """What stands behind FROM and before AS for a relation's name, `orders` or `ml.labels`, or for a SELECT."""
    text = relation.strip().rstrip(";")
    if _NAME.fullmatch(text):
        return sql.Identifier(*text.split("."))
    return sql.SQL("({})").format(sql.SQL(text))


def read_relation(conn: Connection, relation: str) -> pa.Table:
    """All rows of a relation, in the order that they come in; types that Arrow has no like of are text."""
    source = relation_sql(relation)
    shape = conn.execute(sql.SQL("SELECT * FROM {} AS entity_rows LIMIT 0").format(source)).description or []
    columns = [
        sql.Identifier(each.name)
        if each.type_code in _ARROW_TYPES
        else sql.SQL("{}::text").format(sql.Identifier(each.name))
        for each in shape
    ]
    schema = pa.schema([(each.name, _ARROW_TYPES.get(each.type_code, pa.string())) for each in shape])
    batches = []
    with conn.cursor(name="entity_rows") as cursor:
        cursor.execute(sql.SQL("SELECT {} FROM {} AS entity_rows").format(sql.SQL(", ").join(columns), source))
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)
            ]
            batches.append(pa.record_batch(arrays, schema=schema))
    return pa.Table.from_batches(batches, schema)
