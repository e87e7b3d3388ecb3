"""The catalogue as its mart `data_inventory` has it: tables, their columns, and what is made of what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueTable:
    """A table or view; what each field means is said by the comments of `analytics.data_inventory`.

    :param newest_at, data_until, checked_at: in UTC.
    """

    schema_name: str
    table_name: str
    kind: str
    description: str | None
    owner: str | None
    row_count: int | None
    row_count_from: str | None
    newest_at: datetime | None
    data_until: datetime | None
    check_count: int
    failed_check_count: int
    failed_checks: Sequence[str]
    checked_at: datetime | None
    open_rejected_count: int

    @property
    def full_name(self) -> str:
        """The table with its schema."""
        return f"{self.schema_name}.{self.table_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueColumn:
    """A column of a table."""

    column_name: str
    data_type: str
    is_required: bool
    is_key: bool
    description: str | None
    unit: str | None
    failed_checks: Sequence[str]


@dataclass(frozen=True, slots=True)
class LineageEdge:
    """A table is made of another, or of what comes through a connection.

    :param made_by: what reads the one and writes the other: tasks, triggers, views.
    """

    upstream: str
    downstream: str
    made_by: Sequence[str]


_TABLES = """
-- One row per table or view of the catalogue.
SELECT
    schema_name, table_name, kind, description, owner, row_count, row_count_from, newest_at, data_until,
    check_count, failed_check_count, failed_checks, checked_at, open_rejected_count
FROM analytics.data_inventory AS inventory
WHERE
    column_name = ''
    AND (%(schema)s::text IS NULL OR schema_name = %(schema)s)
    AND (%(table)s::text IS NULL OR table_name = %(table)s)
    AND (
        %(words)s::text[] IS NULL
        OR NOT EXISTS (
            SELECT FROM unnest(%(words)s::text[]) AS wanted (word)
            WHERE NOT EXISTS (
                SELECT FROM analytics.data_inventory AS anything
                WHERE
                    anything.schema_name = inventory.schema_name AND anything.table_name = inventory.table_name
                    AND strpos(
                        lower(concat_ws(
                            ' ', anything.schema_name || '.' || anything.table_name, anything.column_name,
                            anything.description, anything.owner
                        )),
                        wanted.word
                    ) > 0
            )
        )
    )
ORDER BY schema_name, table_name
"""


def catalogue_tables(conn: Connection, *, search: str = "") -> list[CatalogueTable]:
    """All tables; of a search those with each of its words in a name, a description or the owner, columns included."""
    return _tables(conn, words=search.lower().split() or None)


def catalogue_table(conn: Connection, full_name: str) -> CatalogueTable | None:
    """The table of that name, with its schema; None if the catalogue has none."""
    schema, _, table = full_name.partition(".")
    found = _tables(conn, schema=schema, table=table)
    return found[0] if found else None


def catalogue_columns(conn: Connection, table: CatalogueTable) -> list[CatalogueColumn]:
    """The columns of a table, in its order."""
    with conn.cursor(row_factory=class_row(CatalogueColumn)) as cursor:
        return cursor.execute(
            """
            SELECT column_name, data_type, is_required, is_key, description, unit, failed_checks
            FROM analytics.data_inventory
            WHERE schema_name = %s AND table_name = %s AND column_name <> ''
            ORDER BY column_position
            """,
            (table.schema_name, table.table_name),
        ).fetchall()


def lineage_edges(conn: Connection) -> list[LineageEdge]:
    """What is read and what is made of it."""
    rows = conn.execute(
        """
        SELECT upstream, downstream, array_agg(made_by ORDER BY made_by)
        FROM analytics.lineage
        GROUP BY upstream, downstream
        ORDER BY upstream, downstream
        """
    ).fetchall()
    return [LineageEdge(*row) for row in rows]


def _tables(
    conn: Connection, *, schema: str | None = None, table: str | None = None, words: list[str] | None = None
) -> list[CatalogueTable]:
    parameters: dict[str, Any] = {"schema": schema, "table": table, "words": words}
    with conn.cursor(row_factory=class_row(CatalogueTable)) as cursor:
        return cursor.execute(_TABLES, parameters).fetchall()
