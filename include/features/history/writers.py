"""Who is writing history: known to those who must not miss what is written but not committed yet."""

from __future__ import annotations

import time

from psycopg import Connection

_LOCK = "hashtext('regulars.features'), hashtext('writers')"
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE
    locktype = 'advisory' AND mode = 'ShareLock' AND granted AND pid <> pg_backend_pid()
    AND classid::bigint = hashtext('regulars.features')::bigint & 4294967295
    AND objid::bigint = hashtext('writers')::bigint & 4294967295
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_PAUSE_SECONDS = 0.02


def note_writer(conn: Connection) -> None:
    """Be known as a writer until the transaction ends; nobody is waited for, and nobody waits in the way of others."""
    conn.execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")


def wait_for_writers(conn: Connection) -> None:
    """Wait until all who are writing history now have ended; those who begin meanwhile are not waited for."""
    earlier = writers(conn)
    while earlier:  # Looked at again and again: who waited for the lock itself would have new pushes wait behind them.
        time.sleep(_PAUSE_SECONDS)
        earlier &= writers(conn)


def writers(conn: Connection) -> set[str]:
    """The transactions of others that are writing history now."""
    return {row[0] for row in conn.execute(_WRITERS)}
