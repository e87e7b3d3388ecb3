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
