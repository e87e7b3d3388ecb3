"""Compute the rows that a plan asks for, and add to history what it does not have."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql

from include.features.definitions.versions import ViewVersion


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows a build looked at and wrote."""

    received: int = 0
    first_builds: int = 0
    corrections: int = 0
    tombstones: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(
            self.received + other.received,
            self.first_builds + other.first_builds,
            self.corrections + other.corrections,
            self.tombstones + other.tombstones,
        )


def compute(conn: Connection, version: ViewVersion) -> None:
    """Run the view's query over `snapshots` and `entities` into the temporary table `computed`."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.computed")
    conn.execute(sql.SQL("CREATE TEMPORARY TABLE computed ON COMMIT DROP AS {}").format(sql.SQL(version.view.query)))
    conn.execute("ANALYZE computed")


def write_first_builds(conn: Connection, version: ViewVersion, *, seq: int, written_at: datetime) -> Written:
    """Run the view's query, whose snapshots must all be first builds; its rows go into history straight away."""
    # Asked for by key, a query that works key by key gives its rows so anyway, and only those of one key are left to
    # be sorted; without being asked, Postgres forgets the order and sorts all of them.
    rows = sql.SQL("({}\nORDER BY {}) AS computed").format(sql.SQL(version.view.query), version.keys)
    order = _BY_KEY if version.view.is_newest_first else _NEWEST_FIRST
    return _write_first_builds(conn, version, rows, order=order, seq=seq, written_at=written_at)


def write_computed_first_builds(conn: Connection, version: ViewVersion, *, seq: int, written_at: datetime) -> Written:
    """Take the rows of the planned snapshots that were never built, if there are any, from the table `computed`."""
    rows = sql.SQL(
        "computed WHERE snapshot_at IN (SELECT planned.snapshot_at FROM planned WHERE planned.is_first_build)"
    )
    return _write_first_builds(conn, version, rows, order=_NEWEST_FIRST, seq=seq, written_at=written_at)


_BY_KEY = "ORDER BY {keys}"
_NEWEST_FIRST = "ORDER BY {keys}, snapshot_at DESC"


def _write_first_builds(
    conn: Connection, version: ViewVersion, rows: sql.Composable, *, order: str, seq: int, written_at: datetime
) -> Written:
    count = conn.execute(
        sql.SQL(
            """
            INSERT INTO {history} ({keys}, event_time, available_time, ingested_at, seq, is_tombstone, {features})
            SELECT
                {keys}, snapshot_at, snapshot_at + {lag}, {written_at}::timestamptz, {seq}::bigint, false, {features}
            FROM {rows}
            {order}
            """
        ).format(
            order=sql.SQL(order).format(keys=version.keys),
            history=version.history,
            keys=version.keys,
            features=version.features,
            rows=rows,
            lag=sql.Literal(version.view.lag),
            written_at=sql.Literal(written_at),
            seq=sql.Literal(seq),
        )
    ).rowcount
    return Written(received=count, first_builds=count)


_CORRECTIONS = """
WITH rebuilt AS ({rebuilt}),

newest AS (
    SELECT DISTINCT ON ({history_keys}, history.event_time)
        {history_keys}, history.event_time AS snapshot_at, history.is_tombstone, {history_features}
    FROM {scope}
    ORDER BY {history_keys}, history.event_time DESC, history.available_time DESC, history.seq DESC
),

compared AS (
    SELECT
        {keys}, snapshot_at, rebuilt.is_rebuilt IS NULL AS is_tombstone, {rebuilt_features},
        CASE
            WHEN newest.is_tombstone IS NULL THEN true
            WHEN rebuilt.is_rebuilt IS NULL THEN NOT newest.is_tombstone
            ELSE newest.is_tombstone OR ({rebuilt_features}) IS DISTINCT FROM ({newest_features})
        END AS is_different
    FROM rebuilt
    FULL JOIN newest USING ({keys}, snapshot_at)
    WHERE rebuilt.is_rebuilt OR NOT newest.is_tombstone
),

written AS (
    INSERT INTO {history} ({keys}, event_time, available_time, ingested_at, seq, is_tombstone, {features})
    SELECT {keys}, snapshot_at, %(written_at)s, %(written_at)s, %(seq)s, is_tombstone, {features}
    FROM compared
    WHERE is_different
    ORDER BY {keys}, snapshot_at DESC
    RETURNING is_tombstone
)

SELECT (SELECT count(*) FROM compared), count(*), count(*) FILTER (WHERE is_tombstone) FROM written
"""
_OF_PLANNED = {
    "rebuilt": """
    SELECT {keys}, snapshot_at, {features}, true AS is_rebuilt FROM computed
    WHERE snapshot_at IN (SELECT planned.snapshot_at FROM planned WHERE NOT planned.is_first_build)
    """,
    "scope": """
    {history} AS history
    WHERE history.event_time IN (SELECT planned.snapshot_at FROM planned WHERE NOT planned.is_first_build)
    """,
}
_OF_PAIRS = {
    "rebuilt": """
    SELECT {keys}, snapshot_at, {features}, true AS is_rebuilt
    FROM computed
    INNER JOIN pairs USING ({keys}, snapshot_at)
    """,
    "scope": """
    pairs INNER JOIN {history} AS history
        ON ({pairs_keys}) = ({history_keys}) AND pairs.snapshot_at = history.event_time
    """,
}


def write_corrections(
    conn: Connection, version: ViewVersion, *, seq: int, written_at: datetime, of_pairs: bool
) -> Written:
    """Add what differs from the newest versions: of the planned snapshots built before, or of single pairs."""
    features = version.view.feature_names
    parts: dict[str, sql.Composable] = {
        "history": version.history,
        "keys": version.keys,
        "features": version.features,
        "pairs_keys": _columns("pairs", version.view.entity.key_names),
        "history_keys": _columns("history", version.view.entity.key_names),
        "history_features": _columns("history", features),
        "rebuilt_features": _columns("rebuilt", features),
        "newest_features": _columns("newest", features),
    }
    for name, statement in (_OF_PAIRS if of_pairs else _OF_PLANNED).items():
        parts[name] = sql.SQL(statement).format(**parts)
    row = conn.execute(sql.SQL(_CORRECTIONS).format(**parts), {"written_at": written_at, "seq": seq}).fetchone()
    assert row is not None
    return Written(received=row[0], corrections=row[1], tombstones=row[2])


def _columns(table: str, names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in names)
