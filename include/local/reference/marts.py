"""The page of the marts."""

from __future__ import annotations

from psycopg import Connection

from include.analytics.mart import ByCustomer, ByDay, ByMonth, Mart
from include.analytics.registry import MARTS
from include.local.reference.markdown import code, codes, page, table


def marts_page(conn: Connection) -> str:
    """:param conn: a warehouse, whose comments say what columns hold."""
    return page(
        "Marts",
        "Tables of the schema `analytics`, each made by the SQL file of its name in `include/sql/analytics`. "
        "Those that others are made of stand before them.",
        *(_told(conn, mart) for mart in MARTS.values()),
    )


def _told(conn: Connection, mart: Mart) -> str:
    facts = table(
        ("", ""),
        (
            ("key", codes(mart.key)),
            ("made of", codes(mart.inputs)),
            ("made anew", _anew(mart)),
        ),
    )
    columns = table(
        ("column", "type", "holds"), ((code(name), *rest) for name, *rest in conn.execute(_COLUMNS, (mart.name,)))
    )
    return "\n".join([f"## {mart.name}", "", mart.words, "", facts, columns])


def _anew(mart: Mart) -> str:
    match mart.kept_up:
        case ByDay(column):
            return f"the days ({code(column)}) whose facts changed"
        case ByMonth(column):
            return f"the months ({code(column)}) from the first change on"
        case ByCustomer(column):
            return f"the customers ({code(column)}) whose facts changed"
    return "as a whole; only rows that differ are written"


_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), coalesce(col_description(attrelid, attnum), '')
FROM pg_attribute
WHERE attrelid = to_regclass(format('analytics.%%I', %s::text)) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""
