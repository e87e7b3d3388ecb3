"""Reads from the warehouse for requests: over a pool that mends itself, and once more when a connection was lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from psycopg import OperationalError
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

from include.features.online.postgres import SETTINGS

T = TypeVar("T")
_MOST_CONNECTIONS, _WAIT_SECONDS = 4, 2.0
"""A request beyond so many waits for so long; then it is told that the warehouse does not answer."""
_STATEMENT_SECONDS = 5
_RETRY_SECONDS = 3.0


def serving_pool(dsn: str) -> AsyncConnectionPool:
    """Connections that look up by key and cannot write; `async with` opens it, also while Postgres is down."""
    options = f"{SETTINGS['options']} -c statement_timeout={_STATEMENT_SECONDS}s"
    return AsyncConnectionPool(
        dsn, min_size=1, max_size=_MOST_CONNECTIONS, timeout=_WAIT_SECONDS, open=False, name="serving",
        # Trying again is begun anew by the next request: a long pause between tries would outlast the trouble.
        reconnect_timeout=_RETRY_SECONDS,
        kwargs={**SETTINGS, "connect_timeout": 3, "application_name": "regulars-api", "options": options},
    )  # fmt: skip


async def surviving(pool: AsyncConnectionPool, read: Callable[[], Awaitable[T]]) -> T:
    """What `read` gives; asked once more if the connection had died while it lay in the pool.

    :raises OperationalError: Postgres does not answer.
    """
    try:
        return await read()
    except (PoolTimeout, TooManyRequests):
        raise
    except OperationalError as error:
        if error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P")):
            raise
        await pool.check()
        return await read()


async def fetch(
    pool: AsyncConnectionPool, statement: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The rows of a statement by column name.

    :raises OperationalError: Postgres does not answer.
    """

    async def read() -> list[dict[str, Any]]:
        async with pool.connection() as conn:
            cursor = await conn.cursor(row_factory=dict_row).execute(statement, parameters, prepare=True)
            return await cursor.fetchall()

    return await surviving(pool, read)
