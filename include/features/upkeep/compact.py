"""A history put in the order in which it is searched."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from psycopg import Connection, sql
from psycopg.errors import LockNotAvailable

from include.features.definitions.versions import ViewVersion

logger = logging.getLogger(__name__)


class HistoryInUse(RuntimeError):
    """Somebody reads or writes a history that was to be put in order; it is as it was."""


def compact_history(conn: Connection, version: ViewVersion, *, lock_timeout: timedelta = timedelta(seconds=10)) -> int:
    """Write the table of a history anew, sorted by key and time, and give its size in bytes.

    Daily builds append, so that the rows of one key lie far from each other, and a join of many rows fetches a page
    for each. Rows, values and their order of writing stay as they are. Nobody can read the history meanwhile.

    :param lock_timeout: how long to wait for those who use it.
    :raises HistoryInUse: they went on for longer.
    """
    started = time.monotonic()
    with conn.transaction():
        conn.execute(
            "SELECT set_config('lock_timeout', %s, true)", (str(int(lock_timeout / timedelta(milliseconds=1))),)
        )
        conn.execute("SET LOCAL maintenance_work_mem = '256MB'")
        name = version.history.as_string(conn)
        before = _size(conn, name)
        index = conn.execute(
            """
            SELECT classes.relname
            FROM pg_index AS indexes
            INNER JOIN pg_class AS classes ON indexes.indexrelid = classes.oid
            WHERE indexes.indrelid = %s::regclass AND indexes.indisunique
            """,
            (name,),
        ).fetchone()
        assert index is not None
        try:
            conn.execute(sql.SQL("CLUSTER {} USING {}").format(version.history, sql.Identifier(index[0])))
        except LockNotAvailable as error:
            raise HistoryInUse(
                f"The history of {version} was in use for {lock_timeout.total_seconds():g} s and was left as it is. "
                "Try again when no build or training set is being made."
            ) from error
        conn.execute(sql.SQL("ANALYZE {}").format(version.history))
        after = _size(conn, name)
    logger.info(
        "compact_history view=%s version=%d bytes_before=%d bytes_after=%d seconds=%.2f",
        version.view.name, version.version, before, after, time.monotonic() - started,
    )  # fmt: skip
    return after


def _size(conn: Connection, table: str) -> int:
    row = conn.execute("SELECT pg_total_relation_size(%s::regclass)", (table,)).fetchone()
    assert row is not None
    return row[0]
