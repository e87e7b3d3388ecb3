"""The page of all tables and columns, as the catalogue knows them."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from include.analytics.registry import MARTS
from include.lineage import note_lineage
from include.local.reference.markdown import code, codes, page, table

_OF_A_VERSION = re.compile(r"features\..*_v\d+(_online)?")


def tables_page(conn: Connection, *, now: datetime) -> str:
    """Every table and view; of a feature view the one that people read, which is as its history and its newest rows.

    :param conn: a warehouse; its lineage is noted, nothing else is written.
    :param now: when it is noted.
    """
    note_lineage(conn, now=now)
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(sql.SQL(MARTS["data_inventory"].query)).fetchall()
        schemas = cursor.execute(_SCHEMAS).fetchall()
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    columns: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["table_name"], row["column_position"])):
        name = _name(row)
        if not _OF_A_VERSION.fullmatch(name):
            (columns[name] if row["kind"] == "column" else tables[row["schema_name"]]).append(row)
    parts = []
    for schema in schemas:
        parts.append(f"## Schema {schema['name']}\n\n{schema['description']}\n")
        parts += [
            _told(each, columns[f"{each['schema_name']}.{each['table_name']}"]) for each in tables[schema["name"]]
        ]
    return page(
        "Tables",
        "Every table and view of the warehouse, from its comments. `analytics.data_inventory` holds the same for "
        "queries, with rows, freshness and checks ([how to use it](../catalogue.md)). A feature view has two tables "
        "for each version, with the columns of its view: `features.<view>_v<version>`, every version of every row, and "
        "`…_online`, the newest row of each key.",
        *parts,
    )


def _name(row: dict[str, Any]) -> str:
    return f"{row['schema_name']}.{row['table_name']}"


def _told(row: dict[str, Any], columns: list[dict[str, Any]]) -> str:
    lines = [f"### {_name(row)}", "", row["description"] or "", "", f"Owner: {row['owner']}."]
    if row["upstream"]:
        lines.append(f"Made of {codes(row['upstream'])}.")
    if row["downstream"]:
        lines.append(f"Read for {codes(row['downstream'])}.")
    told = table(
        ("column", "type", "unit", "holds"),
        (
            (f"{code(each['column_name'])}{' (key)' if each['is_key'] else ''}", each["data_type"], each["unit"] or "",
             each["description"] or "")
            for each in columns
        ),
    )  # fmt: skip
    return "\n".join([*lines, "", told])


_SCHEMAS = """
SELECT nspname AS name, coalesce(obj_description(oid, 'pg_namespace'), '') AS description
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
ORDER BY nspname
"""
