"""Bring a mart up to what the facts say now."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql

from include.analytics.mart import Mart
from include.analytics.stale import ALL, Part, take_stale
from include.entities.window import Window
from include.warehouse.receipts import Receipt, write_receipt

logger = logging.getLogger(__name__)

SETTINGS = "SET LOCAL work_mem = '256MB'"
"""Of the transaction in which a mart is made."""
_MANY = 0.1
"""Share of the rows made anew above which the planner's statistics are made anew too, if all rows were."""


@dataclass(frozen=True, slots=True)
class _Counts:
    received: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def written(self) -> int:
        return self.inserted + self.updated + self.deleted

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(
            self.received + other.received, self.inserted + other.inserted, self.updated + other.updated,
            self.deleted + other.deleted,
        )  # fmt: skip


def data_until(conn: Connection) -> datetime | None:
    """The end of what was loaded of orders, in UTC; None if nothing was."""
    row = conn.execute(
        "SELECT max(window_end) FROM ops.receipts WHERE step = 'upsert' AND entity = 'orders'"
    ).fetchone()
    return row[0] if row else None


def refresh(
    conn: Connection,
    mart: Mart,
    *,
    window: Window,
    until: datetime | None,
    now: datetime,
    time_zone: str = "UTC",
    settings: Mapping[str, str] | None = None,
    rebuild: bool = False,
) -> Receipt:
    """Make what is stale of a mart anew, in one transaction; rows that come out as they were are not written.

    Of a mart that is kept up by days, months or customers those are made anew whose facts changed since its last
    refresh, any other is made as a whole. All of it is made anew if it never was made, its SQL, the time zone or a
    setting that it asks for changed, or `rebuild` says so. The result is the same either way. Two refreshes of one mart
    wait for each other.

    :param window: what the run was for; stands in the receipt and the log, and decides nothing.
    :param until: end of what was loaded, as of `data_until`.
    :param time_zone: where the shop's days begin, a name of the IANA database.
    :param settings: by name, as of `mart_settings_of`; what is not named is as the SQL's functions say.
    :raises psycopg.Error: the SQL failed; the mart is as it was.
    """
    began = time.monotonic()
    _count_inputs(conn, mart)
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(hashtext('regulars.marts'), hashtext(%s))", (mart.name,))
        conn.execute(SETTINGS)
        asked = {name: value for name, value in (settings or {}).items() if f"analytics.{name}()" in mart.query}
        digest = hashlib.sha256("".join((mart.query, *map(str, sorted(asked.items())))).encode()).hexdigest()
        is_known = conn.execute(
            "SELECT FROM analytics.mart_states WHERE mart = %s AND digest = %s AND time_zone = %s",
            (mart.name, digest, time_zone),
        ).fetchone()  # fmt: skip
        stale = take_stale(conn, mart, time_zone=time_zone, until=until, now=now)
        if rebuild or is_known is None:
            stale = ALL
        counts = _Counts()
        for part in stale.parts:
            counts += _make(conn, mart, part, time_zone=time_zone, until=until, settings=asked)
        if stale.count is None and counts.written > _MANY * counts.received:
            conn.execute(sql.SQL("ANALYZE {}").format(_table(mart)))
        seconds = time.monotonic() - began
        grain = mart.kept_up.grain if mart.kept_up else "days"
        _keep_state(conn, mart, digest=digest, time_zone=time_zone, until=until, seconds=seconds, now=now)
        receipt = Receipt(
            step="refresh", entity=mart.name, window=window, received=counts.received, inserted=counts.inserted,
            updated=counts.updated, unchanged=counts.received - counts.inserted - counts.updated,
            deleted=counts.deleted, seconds=seconds,
            details={grain: stale.count, "data_until": until.isoformat() if until else None},
        )  # fmt: skip
        write_receipt(conn, receipt, now=now)
    logger.info("%s %s=%s", receipt, grain, "all" if stale.count is None else stale.count)
    return receipt


def _count_inputs(conn: Connection, mart: Mart) -> None:
    """Of a table that was just filled Postgres knows nothing yet, and joins row against row: minutes for seconds.

    In a transaction of its own, if the caller has none: until its end nobody else can count the table.
    """
    with conn.transaction():
        unknown = conn.execute(
            """
            SELECT relnamespace::regnamespace::text, relname
            FROM pg_class
            WHERE
                oid = ANY (SELECT to_regclass(input) FROM unnest(%s::text[]) AS input)
                AND relkind = 'r' AND relnamespace <> 'pg_catalog'::regnamespace
                AND reltuples <= 0 AND pg_relation_size(oid) > 0
            ORDER BY relname
            """,
            (list(mart.inputs),),
        ).fetchall()
        for name in unknown:
            conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*name)))


def _table(mart: Mart) -> sql.Identifier:
    return sql.Identifier("analytics", mart.name)


def _columns(conn: Connection, mart: Mart) -> list[tuple[str, str]]:
    """Names and types of the table's columns."""
    return conn.execute(
        """
        SELECT attname, format_type(atttypid, atttypmod)
        FROM pg_attribute
        WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
        ORDER BY attnum
        """,
        (f"analytics.{mart.name}",),
    ).fetchall()


def _make(
    conn: Connection, mart: Mart, part: Part, *, time_zone: str, until: datetime | None, settings: Mapping[str, str]
) -> _Counts:
    """Make the rows of a part anew and merge them into the table."""
    columns = _columns(conn, mart)
    told = dict(zip(("from_instant", "until_instant"), part.instants(time_zone), strict=True))
    told |= {"time_zone": time_zone, "data_until": until.isoformat() if until else "", **settings}
    for name, value in told.items():
        conn.execute("SELECT set_config(%s, %s, true)", (f"mart.{name}", value))
    # CREATE TABLE AS and not INSERT, which would not run in parallel.
    conn.execute(
        sql.SQL("CREATE TEMP TABLE fresh ON COMMIT DROP AS SELECT {} FROM (\n{}\n) AS made WHERE {}").format(
            sql.SQL(", ").join(sql.SQL("{}::{}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns),
            sql.SQL(mart.query),
            part.holds("made"),
        )
    )
    names = [name for name, _ in columns]
    if _is_empty(conn, mart):
        counts = _fill(conn, mart, names)
    else:
        conn.execute(sql.SQL("ANALYZE fresh ({})").format(sql.SQL(", ").join(map(sql.Identifier, mart.key))))
        row = conn.execute(_merge_statement(mart, names, part)).fetchone()
        assert row is not None
        counts = _Counts(*row)
    conn.execute("DROP TABLE fresh")
    return counts


def _is_empty(conn: Connection, mart: Mart) -> bool:
    row = conn.execute(sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(_table(mart))).fetchone()
    assert row is not None
    return row[0]


def _fill(conn: Connection, mart: Mart, names: list[str]) -> _Counts:
    """Into an empty table there is nothing to merge with; in the order of the key its index grows at one end."""
    count = conn.execute(
        sql.SQL("INSERT INTO {} ({names}) SELECT {names} FROM fresh ORDER BY {key}").format(
            _table(mart),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            key=sql.SQL(", ").join(map(sql.Identifier, mart.key)),
        )
    ).rowcount
    return _Counts(received=count, inserted=count)


def _merge_statement(mart: Mart, names: list[str], part: Part) -> sql.Composed:
    """Of a part only its own rows are looked for in the table, and not each row of the table in the part."""

    def listed(template: str, of: list[str], between: str = ", ") -> sql.Composed:
        return sql.SQL(between).join(sql.SQL(template).format(name=sql.Identifier(name)) for name in of)

    values = [name for name in names if name not in mart.key]
    same = listed("target.{name} = fresh.{name}", list(mart.key), " AND ")
    return sql.SQL(
        """
        WITH gone AS (
            DELETE FROM {table} AS target
            WHERE {is_of_part} AND NOT EXISTS (SELECT FROM fresh WHERE {same})
            RETURNING true
        ),

        merged AS (
            MERGE INTO {table} AS target USING fresh ON {same}
            WHEN MATCHED AND ({old}) IS DISTINCT FROM ({new}) THEN UPDATE SET {changed}
            WHEN NOT MATCHED BY TARGET THEN INSERT ({names}) VALUES ({added})
            RETURNING merge_action() AS done
        )

        SELECT
            (SELECT count(*) FROM fresh),
            count(*) FILTER (WHERE done = 'INSERT'),
            count(*) FILTER (WHERE done = 'UPDATE'),
            (SELECT count(*) FROM gone)
        FROM merged
        """
    ).format(
        table=_table(mart), same=same, is_of_part=part.holds("target"),
        old=listed("target.{name}", values), new=listed("fresh.{name}", values),
        changed=listed("{name} = fresh.{name}", values), names=listed("{name}", names),
        added=listed("fresh.{name}", names),
    )  # fmt: skip


def _keep_state(
    conn: Connection, mart: Mart, *, digest: str, time_zone: str, until: datetime | None, seconds: float, now: datetime
) -> None:
    conn.execute(
        sql.SQL(
            """
            INSERT INTO analytics.mart_states (
                mart, digest, time_zone, data_until, row_count, seconds, refreshed_at
            )
            VALUES (%s, %s, %s, %s, (SELECT count(*) FROM {}), %s, %s)
            ON CONFLICT (mart) DO UPDATE SET
                digest = excluded.digest, time_zone = excluded.time_zone, data_until = excluded.data_until,
                row_count = excluded.row_count, seconds = excluded.seconds, refreshed_at = excluded.refreshed_at
            """
        ).format(_table(mart)),
        (mart.name, digest, time_zone, until, seconds, now),
    )
