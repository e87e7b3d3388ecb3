"""The online store in the warehouse: one table per version of a view, one row per key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncRawCursor, Connection, RawCursor, sql
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from include.features.definitions.entity import KEY_TYPES
from include.features.definitions.selection import feature_expressions
from include.features.definitions.versions import ViewVersion
from include.features.online.newest import newest_rows
from include.features.online.request import Keys, OnlineRequest
from include.features.online.store import Published, Pushed

_UPSERT = """
INSERT INTO {online} AS online ({keys}, event_time, available_time, ingested_at, seq, is_tombstone, {features})
SELECT {keys}, event_time, available_time, ingested_at, seq, is_tombstone, {features} FROM newest
ON CONFLICT ({keys}) DO UPDATE SET
    (event_time, available_time, ingested_at, seq, is_tombstone, {features})
    = ROW(excluded.event_time, excluded.available_time, excluded.ingested_at, excluded.seq, excluded.is_tombstone,
        {excluded_features})
WHERE
    (excluded.event_time, excluded.available_time, excluded.seq)
    > (online.event_time, online.available_time, online.seq)
RETURNING OLD.{first_key} IS NULL AS is_new
"""
_PUBLISH = """
WITH newest AS ({newest}),

written AS ({upsert})

SELECT
    (SELECT count(*) FROM newest),
    count(*) FILTER (WHERE is_new),
    count(*) FILTER (WHERE NOT is_new)
FROM written
"""
_PUSH = """
WITH newest AS (
    SELECT DISTINCT ON ({keys}) * FROM {history}
    WHERE event_time = {instant}
    ORDER BY {keys}, available_time DESC, seq DESC
)
{upsert}
"""


class PostgresOnline:
    """The tables `features.<view>_v<version>_online`; readers see a publication when it is committed, all at once."""

    name = "postgres"

    def publish(self, conn: Connection, versions: Sequence[ViewVersion], *, now: datetime) -> list[Published]:
        """See `OnlineStore.publish`; where nothing was built since, nothing is read."""
        conn.execute("SET LOCAL work_mem = '128MB'")
        return [self._publish_one(conn, version, now=now) for version in versions]

    def _publish_one(self, conn: Connection, version: ViewVersion, *, now: datetime) -> Published:
        key = (version.view.name, version.version)
        last_seq, published_seq, published_at = conn.execute(
            """
            SELECT last_seq, published_seq, published_at FROM features.view_versions
            WHERE view_name = %s AND version = %s
            """,
            key,
        ).fetchone() or (0, 0, None)
        if last_seq == published_seq:
            return Published(0, 0, 0, last_seq)
        newest = newest_rows(conn, version, after_seq=published_seq, published_at=published_at)
        counts = conn.execute(sql.SQL(_PUBLISH).format(newest=newest, upsert=_upsert(version))).fetchone()
        assert counts is not None
        conn.execute(
            """
            UPDATE features.view_versions SET published_seq = %s, published_at = %s
            WHERE view_name = %s AND version = %s
            """,
            (last_seq, now, *key),
        )
        received, inserted, updated = counts
        return Published(received, inserted, updated, last_seq)

    def push(self, conn: Connection, pushed: Pushed) -> None:
        """See `OnlineStore.push`."""
        for version, instant in pushed:
            conn.execute(
                sql.SQL(_PUSH).format(
                    keys=version.keys,
                    history=version.history,
                    instant=sql.Literal(instant),
                    upsert=_upsert(version),
                )
            )


def _upsert(version: ViewVersion) -> sql.Composed:
    names = version.view.feature_names
    return sql.SQL(_UPSERT).format(
        online=version.online,
        keys=version.keys,
        first_key=sql.Identifier(version.view.entity.key_names[0]),
        features=version.features,
        excluded_features=sql.SQL(", ").join(sql.Identifier("excluded", name) for name in names),
    )


def read_statement(request: OnlineRequest) -> bytes:
    """One statement for all views of a request: one row per entity row, in order.

    Parameters: per join key of the request its array, then the instant. Keys are looked up one by one in the primary
    keys, however small the tables are.
    """
    at = sql.SQL(f"${len(request.keys) + 1}")
    columns: list[sql.Composable] = []
    joins: list[sql.Composable] = []
    for number, selection in enumerate(request.selections):
        name = f"view_{number}"
        table = sql.Identifier(name)
        columns += [sql.SQL("{}.event_time").format(table), feature_expressions(selection, table=name)]
        same_key = sql.SQL(" AND ").join(
            sql.SQL("{}.{} = asked.{}").format(table, *[sql.Identifier(key)] * 2)
            for key in selection.view.entity.key_names
        )
        joins.append(
            sql.SQL(
                " LEFT JOIN {online} AS {table} ON {same_key} AND {table}.event_time <= {at}"
                " AND {table}.available_time <= {at} AND NOT {table}.is_tombstone"
            ).format(online=selection.version.online, table=table, same_key=same_key, at=at)
        )
    arrays = [sql.SQL(f"${number}::{KEY_TYPES[key.type]}[]") for number, key in enumerate(request.keys, 1)]
    names = [sql.Identifier(key.name) for key in request.keys]
    statement = sql.SQL(
        "SELECT {columns} FROM unnest({arrays}) WITH ORDINALITY AS asked ({names}, position){joins} ORDER BY position"
    ).format(
        columns=sql.SQL(", ").join(columns),
        arrays=sql.SQL(", ").join(arrays),
        names=sql.SQL(", ").join(names),
        joins=sql.SQL("").join(joins),
    )
    return statement.as_bytes(None)


def read_parameters(request: OnlineRequest, keys: Keys, at: datetime) -> list[Any]:
    """What the statement is asked with."""
    return [_array(keys[key.name]) if key.type == "integer" else keys[key.name] for key in request.keys] + [at]


def _array(keys: list[int | None]) -> str:
    """Integers as Postgres writes an array: always of one type, so that the statement is prepared once."""
    return "{" + ",".join(["NULL" if key is None else str(key) for key in keys]) + "}"


SETTINGS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": 10,
    "application_name": "regulars-online",
    "options": (
        "-c timezone=UTC -c jit=off -c plan_cache_mode=force_generic_plan -c default_transaction_read_only=on"
        " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    ),
}
"""Connections for reading by key: planned once, always by primary key, and unable to write."""


def online_pool(dsn: str, *, most: int = 4) -> ConnectionPool:
    """An open pool of connections for reading features; close it.

    :param most: how many connections at once; a request beyond them waits for one.
    """
    return ConnectionPool(dsn, min_size=1, max_size=most, kwargs=SETTINGS, open=True, name="online features")


def async_online_pool(dsn: str, *, most: int = 4) -> AsyncConnectionPool:
    """The same for asyncio; open it with `async with` or `await pool.open()`."""
    return AsyncConnectionPool(dsn, min_size=1, max_size=most, kwargs=SETTINGS, open=False, name="online features")


def read_rows(pool: ConnectionPool, statement: bytes, parameters: list[Any]) -> list[tuple[Any, ...]]:
    """One row per entity row: per view the event time of the row found (None: not found) and its features."""
    with pool.connection() as conn:
        return RawCursor(conn).execute(statement, parameters, binary=True, prepare=True).fetchall()


async def read_rows_async(pool: AsyncConnectionPool, statement: bytes, parameters: list[Any]) -> list[tuple[Any, ...]]:
    """See `read_rows`."""
    async with pool.connection() as conn:
        cursor = await AsyncRawCursor(conn).execute(statement, parameters, binary=True, prepare=True)
        return await cursor.fetchall()
