"""The accounts of a run, as the service writes them: receipts and the outcomes of expectations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from psycopg import Connection

from include.entities.window import Window
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


class PostgresReceipts:
    """`ops.receipts` and `ops.quality_results`, through one connection."""

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


_IS_LOADED = """
SELECT coalesce(range_agg(tstzrange(window_start, window_end)) @> tstzrange(%s, %s), FALSE)
FROM ops.receipts
WHERE step = 'upsert' AND entity = %s
"""
