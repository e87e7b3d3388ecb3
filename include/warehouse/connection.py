"""Connections to the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Connection, OperationalError, connect
from psycopg.pq import TransactionStatus


class WarehouseUnreachable(RuntimeError):
    """Postgres did not let us in."""


def connect_warehouse(dsn: str) -> Connection:
    """Open a connection in UTC that commits only when told to.

    Statements are not prepared behind the scenes, because loads create and drop temporary
    tables on the same connection. A commit is on disk when it returns, whatever the server does for others: a step
    that has reported its end is not run again.

    :param dsn: a libpq connection string or URL.
    :raises WarehouseUnreachable: the server refused or did not answer; nothing was changed.
    """
    try:
        return connect(
            dsn,
            prepare_threshold=None,
            connect_timeout=10,
            options="-c timezone=UTC -c temp_buffers=64MB -c jit=off -c synchronous_commit=on",
            application_name="regulars",
        )
    except OperationalError as error:
        raise WarehouseUnreachable(
            f"The warehouse did not accept a connection: {str(error).strip()} "
            "Check that Postgres runs and the connection `warehouse` (locally: make doctor)."
        ) from error


@contextmanager
def one_instant(conn: Connection) -> Iterator[None]:
    """A transaction that reads as of its beginning; within somebody's transaction that is for them to see to."""
    is_idle = conn.info.transaction_status == TransactionStatus.IDLE
    with conn.transaction():
        if is_idle:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield
