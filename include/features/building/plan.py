"""What a build has to take: the relations `snapshots` and `entities` of a view's query, and which of its rows count.

A plan of everyone leaves the temporary table `planned (snapshot_at, is_first_build)`, one of touched keys the table
`pairs (<join keys>, snapshot_at)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from psycopg import Connection, sql

from include.features.definitions.check import make_relations
from include.features.definitions.versions import ViewVersion

_MOST = 0.2
"""From this share of touched keys on, all keys are taken at the snapshots in question."""
ROWS_AT_ONCE = 8_000_000
"""So many rows of keys and snapshots are computed by one query: what it sorts and groups stays within memory."""


def plan_everyone(
    conn: Connection, version: ViewVersion, *, wanted: list[datetime], rebuild: bool
) -> tuple[list[datetime], int]:
    """All keys, at the snapshots that are missing and at those that a touch of every key makes stale.

    In a ranked view each touch is one of every key; where most keys are touched, all are taken, which costs less.

    :returns: the missing snapshots, in order, and the number of stale ones.
    """
    view = version.view
    is_for_all = view.is_ranked or _most_keys_are_touched(conn, version)
    touches_all = sql.SQL("true") if is_for_all else sql.SQL("{} IS NULL").format(_first_key(version))
    make_relations(conn, view)
    conn.execute("DROP TABLE IF EXISTS pg_temp.planned")
    conn.execute(
        sql.SQL(
            """
            CREATE TEMPORARY TABLE planned ON COMMIT DROP AS
            SELECT event_time AS snapshot_at, false AS is_first_build
            FROM features.built_snapshots
            WHERE
                view_name = {name} AND version = {version} AND NOT is_partial AND thinned_at IS NULL
                AND (
                    {rebuild} AND event_time = ANY({wanted}::timestamptz[])
                    OR EXISTS (
                        SELECT FROM touched
                        WHERE
                            {touches_all} AND touched_from < event_time
                            AND ({memory}::interval IS NULL OR event_time <= touched_until + {memory}::interval)
                    )
                )
            UNION ALL
            SELECT wanted.snapshot_at, true
            FROM unnest({wanted}::timestamptz[]) AS wanted (snapshot_at)
            WHERE NOT EXISTS (
                SELECT FROM features.built_snapshots AS built
                WHERE
                    built.view_name = {name} AND built.version = {version} AND NOT built.is_partial
                    AND built.event_time = wanted.snapshot_at
            )
            """
        ).format(
            name=sql.Literal(view.name),
            version=sql.Literal(version.version),
            rebuild=sql.Literal(rebuild),
            wanted=sql.Literal(wanted),
            touches_all=touches_all,
            memory=sql.Literal(view.memory),
        )
    )
    missing = [row[0] for row in conn.execute("SELECT snapshot_at FROM planned WHERE is_first_build ORDER BY 1")]
    stale = conn.execute("SELECT count(*) FROM planned WHERE NOT is_first_build").fetchone()
    assert stale is not None
    if missing or stale[0]:
        conn.execute("INSERT INTO snapshots SELECT snapshot_at FROM planned")
        conn.execute(sql.SQL("INSERT INTO entities ({}) {}").format(version.keys, sql.SQL(view.entity.population)))
        conn.execute("ANALYZE snapshots; ANALYZE entities")
    return missing, stale[0]


def key_parts(conn: Connection, version: ViewVersion) -> Iterator[int]:
    """Leave the planned keys in `entities` part by part, in their order; a ranked view sees all of them at once.

    :returns: the numbers of the parts, from 1.
    """
    row = conn.execute("SELECT (SELECT count(*) FROM snapshots) * (SELECT count(*) FROM entities)").fetchone()
    assert row is not None
    parts = 1 if version.view.is_ranked else -(-row[0] // ROWS_AT_ONCE)
    if parts <= 1:
        yield 1
        return
    conn.execute("DROP TABLE IF EXISTS pg_temp.parts_of_keys")
    conn.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE parts_of_keys ON COMMIT DROP AS "
            "SELECT {keys}, ntile({parts}) OVER (ORDER BY {keys}) AS part_number FROM entities"
        ).format(keys=version.keys, parts=sql.Literal(parts))
    )
    for number in range(1, parts + 1):
        conn.execute("TRUNCATE entities")
        conn.execute(
            sql.SQL("INSERT INTO entities ({0}) SELECT {0} FROM parts_of_keys WHERE part_number = {1}").format(
                version.keys, sql.Literal(number)
            )
        )
        conn.execute("ANALYZE entities")
        yield number


def plan_touched(conn: Connection, version: ViewVersion) -> int:
    """The touched keys, each at the snapshots where its changed facts are felt, but for those of `planned`.

    :returns: the number of pairs of key and snapshot.
    """
    view = version.view
    make_relations(conn, view)
    conn.execute("DROP TABLE IF EXISTS pg_temp.pairs")
    conn.execute(
        sql.SQL(
            """
            CREATE TEMPORARY TABLE pairs ON COMMIT DROP AS
            SELECT DISTINCT {keys_of_touched}, built.event_time AS snapshot_at
            FROM touched
            INNER JOIN features.built_snapshots AS built
                ON built.event_time > touched.touched_from
                AND ({memory}::interval IS NULL OR built.event_time <= touched.touched_until + {memory}::interval)
            WHERE
                built.view_name = {name} AND built.version = {version} AND NOT built.is_partial
                AND built.thinned_at IS NULL AND {first_key} IS NOT NULL
                AND built.event_time NOT IN (SELECT planned.snapshot_at FROM planned)
            UNION
            SELECT {keys_of_history}, built.event_time
            FROM features.built_snapshots AS built
            INNER JOIN {history} AS history ON built.event_time = history.event_time
            INNER JOIN touched
                ON built.event_time > touched.touched_from
                AND ({memory}::interval IS NULL OR built.event_time <= touched.touched_until + {memory}::interval)
                AND ({first_key} IS NULL OR ({keys_of_touched}) = ({keys_of_history}))
            WHERE
                built.view_name = {name} AND built.version = {version} AND built.is_partial
                AND built.thinned_at IS NULL
            """
        ).format(
            name=sql.Literal(view.name),
            version=sql.Literal(version.version),
            memory=sql.Literal(view.memory),
            history=version.history,
            first_key=_first_key(version),
            keys_of_touched=_keys_of(version, "touched"),
            keys_of_history=_keys_of(version, "history"),
        )
    )
    count = conn.execute("SELECT count(*) FROM pairs").fetchone()
    assert count is not None
    if count[0]:
        conn.execute("INSERT INTO snapshots SELECT DISTINCT snapshot_at FROM pairs")
        conn.execute(sql.SQL("INSERT INTO entities SELECT DISTINCT {} FROM pairs").format(version.keys))
        conn.execute("ANALYZE snapshots; ANALYZE entities; ANALYZE pairs")
    return count[0]


def _most_keys_are_touched(conn: Connection, version: ViewVersion) -> bool:
    """Reckoned by the keys of the newest snapshot, of which no more are counted than it takes to know."""
    row = conn.execute(
        sql.SQL(
            """
            WITH newest AS (
                SELECT max(event_time) AS event_time FROM features.built_snapshots
                WHERE view_name = {name} AND version = {version} AND NOT is_partial AND thinned_at IS NULL
            ),

            touched_keys AS (
                SELECT count(DISTINCT ({keys})) AS key_count FROM touched
                WHERE touched_from < (SELECT newest.event_time FROM newest)
            ),

            some_keys AS (
                SELECT FROM {history}
                WHERE event_time = (SELECT newest.event_time FROM newest)
                LIMIT (SELECT ceil(touched_keys.key_count / {most}) + 1 FROM touched_keys)
            )

            SELECT key_count > 0 AND key_count >= {most} * (SELECT count(*) FROM some_keys) FROM touched_keys
            """
        ).format(
            keys=version.keys,
            history=version.history,
            most=sql.Literal(_MOST),
            name=sql.Literal(version.view.name),
            version=sql.Literal(version.version),
        )
    ).fetchone()
    assert row is not None
    return row[0]


def _first_key(version: ViewVersion) -> sql.Identifier:
    return sql.Identifier("touched", version.view.entity.key_names[0])


def _keys_of(version: ViewVersion, table: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in version.view.entity.key_names)
