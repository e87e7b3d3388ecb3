"""Which rows of a view's history are stale: the touched keys, at the snapshots where their changed facts are felt."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection, sql

from include.features.definitions.versions import ViewVersion


@dataclass(frozen=True, slots=True)
class SeenTouches:
    """Which touches a build has taken in: all that were committed at one moment of one server.

    :param snapshot: that moment, as Postgres tells it; null where nothing is noted for the view's entity.
    :param count: how many were new.
    """

    snapshot: str | None
    count: int


def read_touches(conn: Connection, version: ViewVersion) -> SeenTouches:
    """Put the touches that the version's history has not taken in into the temporary table `touched`.

    They are told apart by whether the transaction that noted them was over when the last build looked: one that began
    early may commit late. They are read before the facts, so that what commits in between is met again. On another
    server (a restored dump) transactions are counted anew, so all touches count as new. A version that was retired
    and is in use again has a touch of its own, of every key at all times.
    """
    view = version.view
    conn.execute("DROP TABLE IF EXISTS pg_temp.touched")
    if view.entity.touches is None:
        _no_touches(conn, version)
        return SeenTouches(None, 0)
    is_new: sql.Composable = sql.SQL("true")
    if last := _last_seen(conn, version):
        is_new = sql.SQL(
            "written_by >= pg_snapshot_xmin({0}::pg_snapshot)"
            " AND NOT pg_visible_in_snapshot(written_by, {0}::pg_snapshot)"
        ).format(sql.Literal(last))
    conn.execute(
        sql.SQL(
            """
            CREATE TEMPORARY TABLE touched ON COMMIT DROP AS
            SELECT {keys}, touched_from, touched_until, pg_current_snapshot() AS seen
            FROM {touches} WHERE source = ANY({reads}) AND {is_new}
            """
        ).format(
            keys=version.keys,
            touches=sql.SQL(view.entity.touches),
            reads=sql.Literal([*view.reads, version.own_source]),
            is_new=is_new,
        )
    )
    conn.execute("ANALYZE touched")
    row = conn.execute("SELECT min(seen::text), count(*) FROM touched").fetchone()
    assert row is not None
    return SeenTouches(*row)


def keep_seen(conn: Connection, version: ViewVersion, seen: SeenTouches) -> None:
    """Note that the version's history has taken these touches in."""
    if seen.snapshot is not None:
        conn.execute(
            """
            UPDATE features.view_versions SET seen_touches = %s::pg_snapshot, seen_on_server = %s
            WHERE view_name = %s AND version = %s
            """,
            (seen.snapshot, _server(conn), version.view.name, version.version),
        )


def _last_seen(conn: Connection, version: ViewVersion) -> str | None:
    """What the last build that met touches saw, if that was on this server."""
    row = conn.execute(
        """
        SELECT seen_touches::text FROM features.view_versions
        WHERE view_name = %s AND version = %s AND seen_on_server = %s
        """,
        (version.view.name, version.version, _server(conn)),
    ).fetchone()
    return None if row is None else row[0]


def _no_touches(conn: Connection, version: ViewVersion) -> None:
    conn.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE touched ON COMMIT DROP AS"
            " SELECT {}, event_time AS touched_from, event_time AS touched_until FROM {} WITH NO DATA"
        ).format(version.keys, version.history)
    )


def _server(conn: Connection) -> str:
    row = conn.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
    assert row is not None
    return row[0]
