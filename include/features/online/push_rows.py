"""The feature rows of a push: a few keys of a view at one instant, by the view's own query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection, sql

from include.features.definitions.check import make_relations
from include.features.definitions.versions import ViewVersion

LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)


def newest_instant(conn: Connection, version: ViewVersion, keys: Sequence[tuple[Any, ...]]) -> datetime:
    """The newest event or available time that the history of these keys has; `LONG_AGO` if it has none."""
    row = conn.execute(
        sql.SQL(
            """
            SELECT max(greatest(newest.event_time, newest.available_time))
            FROM (VALUES {keys}) AS wanted ({names})
            CROSS JOIN LATERAL (
                SELECT history.event_time, history.available_time FROM {history} AS history
                WHERE ({history_keys}) = ({wanted_keys})
                ORDER BY history.event_time DESC, history.available_time DESC
                LIMIT 1
            ) AS newest
            """
        ).format(
            keys=_values(keys),
            names=version.keys,
            history=version.history,
            history_keys=_columns("history", version),
            wanted_keys=_columns("wanted", version),
        )
    ).fetchone()
    return LONG_AGO if row is None or row[0] is None else row[0]


def want(conn: Connection, version: ViewVersion, keys: Sequence[tuple[Any, ...]], *, at: datetime) -> None:
    """Make the relations that a view's query reads: these keys, at this instant."""
    make_relations(conn, version.view)
    conn.execute("INSERT INTO snapshots VALUES (%s)", (at,))
    conn.execute(sql.SQL("INSERT INTO entities ({}) VALUES {}").format(version.keys, _values(keys)))
    conn.execute("ANALYZE snapshots; ANALYZE entities")


_WRITE_ROWS = """
WITH last_build AS (
    SELECT last_seq FROM features.view_versions WHERE view_name = {name} AND version = {version}
),

computed AS ({query}),

written AS (
    INSERT INTO {history} ({keys}, event_time, available_time, ingested_at, seq, is_tombstone, {features})
    SELECT {keys}, snapshot_at, snapshot_at, snapshot_at, last_build.last_seq, false, {features}
    FROM computed
    CROSS JOIN last_build
),

ended AS (
    INSERT INTO {history} ({keys}, event_time, available_time, ingested_at, seq, is_tombstone)
    SELECT {entity_keys}, {at}, {at}, {at}, last_build.last_seq, true
    FROM entities
    CROSS JOIN last_build
    CROSS JOIN LATERAL (
        SELECT history.is_tombstone FROM {history} AS history
        WHERE ({history_keys}) = ({entity_keys})
        ORDER BY history.event_time DESC, history.available_time DESC, history.seq DESC
        LIMIT 1
    ) AS newest
    WHERE NOT newest.is_tombstone AND ({entity_keys}) NOT IN (SELECT {keys} FROM computed)
    RETURNING 1
)

SELECT (SELECT count(*) FROM computed) + (SELECT count(*) FROM ended)
"""


def write_rows(conn: Connection, version: ViewVersion, *, at: datetime) -> int:
    """Run the view's query and add what it gives to history, as part of the last build; note the instant.

    A key that has a row, and of which the query knows nothing any more, gets a tombstone.

    :returns: the number of rows, tombstones included.
    """
    key = {"name": sql.Literal(version.view.name), "version": sql.Literal(version.version)}
    row = conn.execute(
        sql.SQL(_WRITE_ROWS).format(
            at=sql.Literal(at),
            history=version.history,
            keys=version.keys,
            entity_keys=_columns("entities", version),
            history_keys=_columns("history", version),
            features=version.features,
            query=sql.SQL(version.view.query),
            **key,
        )
    ).fetchone()
    assert row is not None
    count = row[0]
    if count:
        conn.execute(
            sql.SQL(
                """
                INSERT INTO features.built_snapshots (view_name, version, event_time, is_partial, built_at)
                VALUES ({name}, {version}, {at}, true, {at})
                ON CONFLICT DO NOTHING
                """
            ).format(at=sql.Literal(at), **key)
        )
    return count


def _values(keys: Sequence[tuple[Any, ...]]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("({})").format(sql.SQL(", ").join(sql.Literal(value) for value in key)) for key in keys
    )


def _columns(table: str, version: ViewVersion) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in version.view.entity.key_names)
