"""What is known of the sources' fields, in the warehouse: `ops.source_fields` and `ops.schema_changes`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from psycopg import Connection

from include.ingestion.drift import KnownField, SchemaChange


def read_fields(conn: Connection, *, source: str, entity: str) -> dict[str, KnownField]:
    """What a source is known to send of an entity, by path."""
    rows = conn.execute(_READ, (source, entity)).fetchall()
    return {
        row[0]: KnownField(
            path=row[0], kinds=frozenset(row[1]), is_added=row[2], present=row[3], possible=row[4],
            first_seen_at=row[5], last_seen_at=row[6],
        )
        for row in rows
    }  # fmt: skip


def write_fields(conn: Connection, met: Sequence[KnownField], *, source: str, entity: str) -> None:
    """Add what a batch has shown, in the caller's transaction. In the order of the paths, as every other does."""
    with conn.cursor() as cursor:
        cursor.executemany(
            _ADD,
            [
                (source, entity, each.path, sorted(each.kinds), each.is_added, each.present, each.possible,
                 each.first_seen_at, each.last_seen_at)
                for each in met
            ],
        )  # fmt: skip


def write_changes(conn: Connection, changes: Sequence[SchemaChange]) -> list[SchemaChange]:
    """Keep sightings, in the caller's transaction, and give those that are the first of their change."""
    first = []
    for change in sorted(changes, key=lambda each: (each.field, each.change, each.kind)):
        row = conn.execute(_SIGHT, dataclasses.asdict(change)).fetchone()
        assert row is not None
        if row[0]:
            first.append(change)
    return first


_READ = """
SELECT field, kinds, is_added, present_count, possible_count, first_seen_at, last_seen_at
FROM ops.source_fields
WHERE source = %s AND entity = %s
"""
_ADD = """
INSERT INTO ops.source_fields AS known (
    source, entity, field, kinds, is_added, present_count, possible_count, first_seen_at, last_seen_at
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (source, entity, field) DO UPDATE SET
    kinds = CASE WHEN known.kinds = '{}' THEN EXCLUDED.kinds ELSE known.kinds END,
    present_count = known.present_count + EXCLUDED.present_count,
    possible_count = known.possible_count + EXCLUDED.possible_count,
    first_seen_at = least(known.first_seen_at, EXCLUDED.first_seen_at),
    last_seen_at = greatest(known.last_seen_at, EXCLUDED.last_seen_at)
"""
_SIGHT = """
INSERT INTO ops.schema_changes AS known (
    source, entity, field, change, kind, detail, example, row_share, batch, first_seen_at, last_seen_at
)
VALUES (
    %(source)s, %(entity)s, %(field)s, %(change)s, %(kind)s, %(detail)s, %(example)s, %(row_share)s, %(batch)s,
    %(first_seen_at)s, %(last_seen_at)s
)
ON CONFLICT (source, entity, field, change, kind) DO UPDATE SET
    row_share = EXCLUDED.row_share,
    batch = EXCLUDED.batch,
    first_seen_at = least(known.first_seen_at, EXCLUDED.first_seen_at),
    last_seen_at = greatest(known.last_seen_at, EXCLUDED.last_seen_at)
RETURNING xmax = 0
"""
