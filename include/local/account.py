"""What the warehouse says about a demo run: receipts, rejected rows, table sizes, features."""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

OUTCOMES = ("passed", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined")


def table_counts(conn: Connection) -> dict[str, int]:
    """Rows of every table that holds data, by `schema.table`."""
    names = conn.execute(
        """
        SELECT table_schema, table_name FROM information_schema.tables
        WHERE table_schema IN ('shop', 'signals', 'quarantine', 'features', 'ml') AND table_type = 'BASE TABLE'
        ORDER BY table_schema, table_name
        """
    ).fetchall()
    counts = {}
    for schema, name in names:
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, name))
        row = conn.execute(query).fetchone()
        assert row is not None
        counts[f"{schema}.{name}"] = row[0]
    return counts


def last_receipt(conn: Connection) -> int:
    """The newest receipt's number; later ones belong to what comes now."""
    row = conn.execute("SELECT coalesce(max(receipt_id), 0) FROM ops.receipts").fetchone()
    assert row is not None
    return row[0]


def sums(conn: Connection, *, step: str, after: int) -> dict[str, dict[str, int]]:
    """Receipts of a step, summed per entity, of those written after receipt number `after`."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT entity, count(*) AS receipts, sum(received)::bigint AS received, sum(passed)::bigint AS passed,
                   sum(inserted)::bigint AS inserted, sum(updated)::bigint AS updated,
                   sum(unchanged)::bigint AS unchanged, sum(stale)::bigint AS stale,
                   sum(duplicate)::bigint AS duplicate, sum(quarantined)::bigint AS quarantined,
                   sum(deleted)::bigint AS deleted
            FROM ops.receipts WHERE step = %s AND receipt_id > %s GROUP BY entity ORDER BY min(receipt_id)
            """,
            (step, after),
        ).fetchall()
    return {row.pop("entity"): row for row in rows}


def rejections(conn: Connection) -> list[dict[str, Any]]:
    """What lies in quarantine, by entity and rule, with one of the reasons."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            SELECT entity, rule_id, count(*) AS rows, min(reason) AS example
            FROM quarantine.rejected_rows GROUP BY entity, rule_id ORDER BY count(*) DESC, entity, rule_id
            """
        ).fetchall()


def database_bytes(conn: Connection) -> int:
    """Size of the warehouse on disk."""
    row = conn.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return row[0]
