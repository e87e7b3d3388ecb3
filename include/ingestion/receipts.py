"""The accounts of a run, as the service writes them: receipts, outcomes of expectations, what sources send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from psycopg import Connection

from include.entities.window import Window
from include.ingestion.drift import KnownField, SchemaChange
from include.ingestion.drift_in_postgres import read_fields, write_changes, write_fields
from include.ingestion.quality import QualityResult, keep_results
from include.warehouse.receipts import Receipt, write_receipt


class Receipts(Protocol):
    """Keeps what each step did. Inside a repository's transaction it is part of it."""

    def write(self, receipt: Receipt, *, now: datetime) -> None:
        """Keep a closed receipt, written at `now` (UTC)."""
        ...

    def keep_quality_results(
        self, results: Sequence[QualityResult], *, batch: str, window: Window, now: datetime
    ) -> None:
        """Keep the outcome of every expectation over a batch."""
        ...

    def is_loaded(self, entity: str, window: Window) -> bool:
        """Whether loads have covered the whole window."""
        ...

    def known_fields(self, source: str, entity: str) -> Mapping[str, KnownField]:
        """What a source is known to send of an entity, by path; nothing before its first batch."""
        ...

    def keep_fields(
        self, met: Sequence[KnownField], changes: Sequence[SchemaChange], *, source: str, entity: str
    ) -> list[SchemaChange]:
        """Keep what a batch has shown of the source's fields.

        :param met: with counts of the batch alone, in the order of their paths.
        :returns: the changes that were never sighted before.
        """
        ...


class PostgresReceipts:
    """`ops.receipts`, `ops.quality_results`, `ops.source_fields` and `ops.schema_changes`, through one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def write(self, receipt: Receipt, *, now: datetime) -> None:
        """See `Receipts.write`."""
        with self._conn.transaction():
            write_receipt(self._conn, receipt, now=now)

    def keep_quality_results(
        self, results: Sequence[QualityResult], *, batch: str, window: Window, now: datetime
    ) -> None:
        """See `Receipts.keep_quality_results`."""
        with self._conn.transaction():
            keep_results(self._conn, results, batch=batch, window=window, now=now)

    def is_loaded(self, entity: str, window: Window) -> bool:
        """See `Receipts.is_loaded`."""
        with self._conn.transaction():
            row = self._conn.execute(_IS_LOADED, (window.start, window.end, entity)).fetchone()
        assert row is not None
        return row[0]

    def known_fields(self, source: str, entity: str) -> Mapping[str, KnownField]:
        """See `Receipts.known_fields`."""
        with self._conn.transaction():
            return read_fields(self._conn, source=source, entity=entity)

    def keep_fields(
        self, met: Sequence[KnownField], changes: Sequence[SchemaChange], *, source: str, entity: str
    ) -> list[SchemaChange]:
        """See `Receipts.keep_fields`."""
        with self._conn.transaction():
            write_fields(self._conn, met, source=source, entity=entity)
            return write_changes(self._conn, changes)


_IS_LOADED = """
SELECT coalesce(range_agg(tstzrange(window_start, window_end)) @> tstzrange(%s, %s), FALSE)
FROM ops.receipts
WHERE step = 'upsert' AND entity = %s
"""
