"""What the processes of all tasks know of the network, in Postgres: circuits of hosts and the account of requests.

Extraction must not end because the warehouse is away for a moment. Then a circuit is what this process knows, and
requests are counted in memory until they can be written; both are told in the log.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import kwargs_row

from include.sources.circuit import Circuit, MemoryCircuits, Step
from include.sources.network import Network
from include.sources.request_log import Key, MemoryRequestLog, Totals

log = logging.getLogger(__name__)

REST_SECONDS = 5.0
"""After the warehouse refused a connection it is not asked again for so long."""

Result = TypeVar("Result")

_READ = "SELECT host, state, failure_count, opened_at, probe_at, reason FROM ops.circuits WHERE host = %s"
_MEET = """
INSERT INTO ops.circuits (host, state, failure_count, changed_at) VALUES (%s, 'closed', 0, %s) ON CONFLICT DO NOTHING
"""
_WRITE = """
UPDATE ops.circuits
SET state = %(state)s, failure_count = %(failure_count)s, opened_at = %(opened_at)s, probe_at = %(probe_at)s,
    reason = %(reason)s, changed_at = %(changed_at)s
WHERE host = %(host)s
"""
_ADD = """
INSERT INTO ops.request_totals AS t
    (host, source, status, request_count, retry_count, seconds_total, bucket_counts)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (host, source, status) DO UPDATE
SET request_count = t.request_count + excluded.request_count,
    retry_count = t.retry_count + excluded.retry_count,
    seconds_total = t.seconds_total + excluded.seconds_total,
    bucket_counts = ARRAY(
        SELECT b.stored + b.added
        FROM unnest(t.bucket_counts, excluded.bucket_counts) WITH ORDINALITY AS b (stored, added, place)
        ORDER BY b.place
    )
"""


def postgres_network(dsn: str) -> Network:
    """The network as all processes on one warehouse share it. Connects when there is something to read or write.

    :param dsn: a libpq connection string or URL.
    """
    warehouse = _Warehouse(dsn)
    return Network(PostgresCircuits(warehouse), PostgresRequestLog(warehouse))


class _Away(Exception):
    """The warehouse could not be had just now."""


class _Warehouse:
    """One connection of its own, made when it is needed and made again when it was lost. One caller at a time."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._held: list[Connection[Any]] = []
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._is_away = False
        weakref.finalize(self, _close, self._held)

    def run(self, work: Callable[[Connection[Any]], Result]) -> Result:
        """Do `work` in one transaction. If a held connection turns out to be lost, it is done over a new one.

        :raises _Away: there is no warehouse to be had; told in the log when that begins and ends.
        """
        with self._lock:
            if time.monotonic() < self._away_until:
                raise _Away
            try:
                result = self._try(work)
            except psycopg.Error as error:
                _close(self._held)
                self._away_until = time.monotonic() + REST_SECONDS
                if not self._is_away:
                    because = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                    log.warning("network_store state=away because=%r using=memory", because)
                self._is_away = True
                raise _Away from error
            if self._is_away:
                log.warning("network_store state=back")
            self._is_away = False
            return result

    def _try(self, work: Callable[[Connection[Any]], Result]) -> Result:
        if self._held:
            try:
                with self._held[0].transaction():
                    return work(self._held[0])
            except psycopg.OperationalError:
                _close(self._held)
        self._held.append(_connect(self._dsn))
        with self._held[0].transaction():
            return work(self._held[0])


class PostgresCircuits:
    """Circuits in `ops.circuits`; a change takes the host's row for itself until it is made."""

    def __init__(self, warehouse: _Warehouse) -> None:
        self._warehouse = warehouse
        self._known = MemoryCircuits()

    async def read(self, host: str) -> Circuit:
        """The circuit of a host; closed for one that was never in trouble."""
        try:
            circuit = await asyncio.to_thread(self._warehouse.run, lambda conn: _read(conn, _READ, host))
        except _Away:
            return await self._known.read(host)
        self._known.keep(circuit)
        return circuit

    async def change(self, host: str, step: Step, *, now: datetime) -> tuple[Circuit, Circuit]:
        """Apply `step` as one atomic change; gives the circuit before and after."""

        def work(conn: Connection[Any]) -> tuple[Circuit, Circuit]:
            conn.execute(_MEET, (host, now))
            before = _read(conn, f"{_READ} FOR UPDATE", host)
            after = step(before)
            if after != before:
                conn.execute(
                    _WRITE,
                    {
                        "host": host,
                        "state": after.state,
                        "failure_count": after.failure_count,
                        "opened_at": after.opened_at,
                        "probe_at": after.probe_at,
                        "reason": after.reason,
                        "changed_at": now,
                    },
                )
            return before, after

        try:
            before, after = await asyncio.to_thread(self._warehouse.run, work)
        except _Away:
            return await self._known.change(host, step, now=now)
        self._known.keep(after)
        return before, after


class PostgresRequestLog(MemoryRequestLog):
    """Adds what was counted to `ops.request_totals` whenever it is flushed.

    Should the connection break between a commit and its confirmation, that flush is counted twice.
    """

    def __init__(self, warehouse: _Warehouse) -> None:
        super().__init__()
        self._warehouse = warehouse

    async def flush(self) -> None:
        """Write out what was recorded since the last time; what could not be written is kept for the next."""
        if self.totals:
            await asyncio.to_thread(self._write)

    def _write(self) -> None:
        taken = self.take()
        try:
            self._warehouse.run(lambda conn: _add(conn, taken))
        except _Away:
            self.put_back(taken)


def _connect(dsn: str) -> Connection[Any]:
    return psycopg.connect(
        dsn,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=3,
        tcp_user_timeout=5000,
        options="-c timezone=UTC -c statement_timeout=5000",
        application_name="regulars network",
    )


def _close(held: list[Connection[Any]]) -> None:
    while held:
        held.pop().close()


def _read(conn: Connection[Any], query: str, host: str) -> Circuit:
    with conn.cursor(row_factory=kwargs_row(Circuit)) as cursor:
        return cursor.execute(query, (host,)).fetchone() or Circuit(host=host)


def _add(conn: Connection[Any], taken: dict[Key, Totals]) -> None:
    rows = [
        (*key, totals.request_count, totals.retry_count, totals.seconds_total, totals.bucket_counts)
        for key, totals in sorted(taken.items())
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_ADD, rows)
