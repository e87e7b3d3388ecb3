"""Which rows of a view's history a publication takes: of each key with news the newest one."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection, sql

from include.features.definitions.versions import ViewVersion

_NEWEST_FIRST = sql.SQL("event_time DESC, available_time DESC, seq DESC")
_MANY_SNAPSHOTS = 4
"""From so many new snapshots on, stepping from key to key through the index reads less than sorting what is new."""

_OF_NEW_ROWS = """
    SELECT DISTINCT ON ({keys}) *
    FROM {history}
    WHERE seq > {after_seq}
    ORDER BY {keys}, {newest_first}
"""
_KEY_BY_KEY = """
    SELECT * FROM (
        WITH RECURSIVE steps AS (
            (SELECT * FROM {history} ORDER BY {keys}, {newest_first} LIMIT 1)
            UNION ALL
            SELECT next.*
            FROM steps
            CROSS JOIN LATERAL (
                SELECT * FROM {history} AS following
                WHERE ({following_keys}) > ({steps_keys})
                ORDER BY {keys}, {newest_first}
                LIMIT 1
            ) AS next
        )

        SELECT * FROM steps WHERE seq > {after_seq}
    ) AS newest
"""


def newest_rows(
    conn: Connection, version: ViewVersion, *, after_seq: int, published_at: datetime | None
) -> sql.Composed:
    """A query for the newest row of each key that has news, ordered by key: what was written after build `after_seq`.

    :param published_at: when that was; it decides only which way to the rows is taken.
    """
    row = conn.execute(
        """
        SELECT count(*) FROM features.built_snapshots
        WHERE view_name = %s AND version = %s AND NOT is_partial AND built_at > coalesce(%s, '-infinity'::timestamptz)
        """,
        (version.view.name, version.version, published_at),
    ).fetchone()
    assert row is not None
    is_key_by_key = row[0] >= _MANY_SNAPSHOTS
    if not is_key_by_key:
        _summarize(conn, version)
    names = version.view.entity.key_names
    return sql.SQL(_KEY_BY_KEY if is_key_by_key else _OF_NEW_ROWS).format(
        history=version.history,
        keys=version.keys,
        following_keys=sql.SQL(", ").join(sql.Identifier("following", name) for name in names),
        steps_keys=sql.SQL(", ").join(sql.Identifier("steps", name) for name in names),
        newest_first=_NEWEST_FIRST,
        after_seq=sql.Literal(after_seq),
    )


def _summarize(conn: Connection, version: ViewVersion) -> None:
    """Let the index on `seq` know what was written since it was last vacuumed: that is read whole until it does."""
    conn.execute(
        """
        SELECT brin_summarize_new_values(indexes.indexrelid)
        FROM pg_index AS indexes
        INNER JOIN pg_class AS classes ON indexes.indexrelid = classes.oid
        INNER JOIN pg_am AS methods ON classes.relam = methods.oid
        WHERE indexes.indrelid = %s::regclass AND methods.amname = 'brin'
        """,
        (version.history.as_string(None),),
    )
