"""Receipts and quarantine in memory, for tests that need no server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from include.entities.window import Window
from include.ingestion.quality import QualityResult
from include.ingestion.quarantine import Intake, Origin, payload_digest, readable, storable
from include.sources.source import Rejection
from include.warehouse.memory import MemoryStore
from include.warehouse.receipts import Receipt


class MemoryReceipts:
    """Receipts and outcomes of expectations in a `MemoryStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def write(self, receipt: Receipt, *, now: datetime) -> None:
        """See `Receipts.write`."""
        self._store.receipts.append(receipt)

    def keep_quality_results(
        self, results: Sequence[QualityResult], *, batch: str, window: Window, now: datetime
    ) -> None:
        """See `Receipts.keep_quality_results`."""
        self._store.quality_results += results


class MemoryQuarantine:
    """Rejected rows in a `MemoryStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @contextmanager
    def intake(self, origin: Origin) -> Iterator[Intake]:
        """See `Quarantine.intake`."""
        with self._store.transaction():
            yield _MemoryIntake(self._store, origin)


class _MemoryIntake:
    def __init__(self, store: MemoryStore, origin: Origin) -> None:
        self._store, self._origin = store, origin
        self._occurrences: Counter[tuple[str, str, str]] = Counter()

    def add(self, file: str, rejections: Sequence[Rejection]) -> None:
        """See `Intake.add`."""
        for each in rejections:
            identity = (each.entity, each.rule_id, payload_digest(each.payload))
            self._occurrences[identity] += 1
            row = {
                "reason": storable(each.reason),
                "payload": readable(each.payload),
                "landing_file": f"{self._origin.batch}/{file}",
                "landing_position": each.position,
                "source": self._origin.source,
                "window_start": self._origin.window.start,
                "window_end": self._origin.window.end,
                "rejected_at": self._origin.now,
            }
            self._store.rejected_rows.setdefault((*identity, self._occurrences[identity]), row)
