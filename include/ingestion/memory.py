"""Receipts and quarantine in memory, for tests that need no server."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

from include.entities.window import Window
from include.ingestion.drift import KnownField, SchemaChange
from include.ingestion.quality import QualityResult
from include.ingestion.quarantine import (
    EVERYTHING,
    Intake,
    OpenWindow,
    Origin,
    RejectedRow,
    Resolution,
    RuleCount,
    Selection,
    digest_of_row,
    payload_digest,
    readable,
    storable,
)
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

    def is_loaded(self, entity: str, window: Window) -> bool:
        """See `Receipts.is_loaded`."""
        loaded = [each.window for each in self._store.receipts if (each.step, each.entity) == ("upsert", entity)]
        reached = window.start
        for each in sorted(loaded, key=lambda each: each.start):
            if each.start <= reached:
                reached = max(reached, each.end)
        return reached >= window.end

    def known_fields(self, source: str, entity: str) -> Mapping[str, KnownField]:
        """See `Receipts.known_fields`."""
        return {key[2]: known for key, known in self._store.source_fields.items() if key[:2] == (source, entity)}

    def keep_fields(
        self, met: Sequence[KnownField], changes: Sequence[SchemaChange], *, source: str, entity: str
    ) -> list[SchemaChange]:
        """See `Receipts.keep_fields`."""
        for each in met:
            old = self._store.source_fields.get((source, entity, each.path))
            self._store.source_fields[source, entity, each.path] = each if old is None else _grown(old, each)
        first = []
        for change in changes:
            key = (change.source, change.entity, change.field, change.change, change.kind)
            kept = self._store.schema_changes.get(key)
            if kept is None:
                first.append(change)
                self._store.schema_changes[key] = change
            else:
                self._store.schema_changes[key] = replace(
                    kept,
                    row_share=change.row_share,
                    batch=change.batch,
                    first_seen_at=min(kept.first_seen_at, change.first_seen_at),
                    last_seen_at=max(kept.last_seen_at, change.last_seen_at),
                )
        return first


def _grown(known: KnownField, more: KnownField) -> KnownField:
    return replace(
        known,
        kinds=known.kinds or more.kinds,
        present=known.present + more.present,
        possible=known.possible + more.possible,
        first_seen_at=min(known.first_seen_at, more.first_seen_at),
        last_seen_at=max(known.last_seen_at, more.last_seen_at),
    )


class MemoryQuarantine:
    """Rejected rows in a `MemoryStore`: by key the row and its payload."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @contextmanager
    def intake(self, origin: Origin) -> Iterator[Intake]:
        """See `Quarantine.intake`."""
        with self._store.transaction():
            yield _MemoryIntake(self._store, origin)

    def counts(self, selection: Selection = EVERYTHING) -> list[RuleCount]:
        """See `Quarantine.counts`."""
        by_rule: dict[tuple[str, str], list[RejectedRow]] = defaultdict(list)
        for row in self._meant(selection):
            by_rule[row.entity, row.rule_id].append(row)
        return [
            RuleCount(
                entity=entity,
                rule_id=rule_id,
                open_count=sum(row.resolution is None for row in rows),
                resolved_count=sum(row.resolution is not None for row in rows),
                reason=max(rows, key=lambda row: (row.resolution is None, row.last_rejected_at)).reason,
                first_rejected_at=min(row.rejected_at for row in rows),
                last_rejected_at=max(row.last_rejected_at for row in rows),
            )
            for (entity, rule_id), rows in sorted(by_rule.items())
        ]

    def rows(self, selection: Selection = EVERYTHING, *, limit: int) -> list[tuple[RejectedRow, str]]:
        """See `Quarantine.rows`."""
        found = [row for row in self._meant(selection) if row.resolution is None]
        found.sort(key=lambda row: (row.entity, row.batch, row.file, row.position))
        found.sort(key=lambda row: row.last_rejected_at, reverse=True)
        return [(row, self.payload(row)) for row in found[:limit]]

    def open_windows(self, selection: Selection = EVERYTHING) -> list[OpenWindow]:
        """See `Quarantine.open_windows`."""
        found = {
            OpenWindow(entity=row.entity, source=row.source, window=row.window)
            for row in self._meant(selection)
            if row.resolution is None
        }
        return sorted(found, key=lambda each: (each.window.start, each.window.end, each.entity, each.source))

    def take_open(
        self, *, source: str, window: Window, entities: Sequence[str], rule_id: str | None, family: Sequence[str]
    ) -> list[RejectedRow]:
        """See `Quarantine.take_open`."""
        selection = Selection(entities=frozenset(entities), rule_id=rule_id, source=source)
        meant = [row for row in self._meant(selection) if row.window == window and row.resolution is None]
        digests = {row.row_digest for row in meant}
        kin = self._meant(Selection(entities=frozenset(family), source=source))
        return sorted(
            (row for row in kin if row.row_digest in digests and row.resolution is None), key=lambda row: row.key
        )

    def payload(self, row: RejectedRow) -> str:
        """See `Quarantine.payload`."""
        return self._store.rejected_rows[row.key][1]

    def resolve(self, rows: Sequence[RejectedRow], *, as_: Resolution, receipt: Receipt, now: datetime) -> None:
        """See `Quarantine.resolve`."""
        for row in rows:
            kept, payload = self._store.rejected_rows[row.key]
            self._store.rejected_rows[row.key] = (replace(kept, resolved_at=now, resolution=as_), payload)

    def _meant(self, selection: Selection) -> list[RejectedRow]:
        return [row for row, _ in self._store.rejected_rows.values() if _is_meant(row, selection)]


def _is_meant(row: RejectedRow, selection: Selection) -> bool:
    return (
        (selection.entities is None or row.entity in selection.entities)
        and selection.rule_id in (None, row.rule_id)
        and selection.source in (None, row.source)
        and (selection.start is None or row.window.end > selection.start)
        and (selection.end is None or row.window.start < selection.end)
    )


class _MemoryIntake:
    def __init__(self, store: MemoryStore, origin: Origin) -> None:
        self._store, self._origin = store, origin
        self._occurrences: Counter[tuple[str, str, str]] = Counter()

    def add(
        self, file: str, rejections: Sequence[Rejection], *, rows: Sequence[bytes], context: Mapping[str, Any]
    ) -> None:
        """See `Intake.add`."""
        for each in rejections:
            record = (each.entity, payload_digest(each.payload), digest_of_row(each, rows, context))
            self._occurrences[record] += 1
            row = self._row(file, each, (*record, self._occurrences[record]))
            old, _ = self._store.rejected_rows.get(row.key, (None, ""))
            if old is None:
                self._store.rejected_rows[row.key] = (row, readable(each.payload))
            elif old.resolution is not None or _what_and_where(old) != _what_and_where(row):
                kept = replace(row, rejected_at=old.rejected_at)
                self._store.rejected_rows[row.key] = (kept, readable(each.payload))

    def _row(self, file: str, rejection: Rejection, key: tuple[str, str, str, int]) -> RejectedRow:
        origin = self._origin
        return RejectedRow(
            entity=key[0],
            payload_digest=key[1],
            row_digest=key[2],
            occurrence=key[3],
            rule_id=rejection.rule_id,
            reason=storable(rejection.reason),
            source=origin.source,
            batch=origin.batch,
            file=file,
            position=rejection.position,
            window=origin.window,
            run=origin.run,
            rejected_at=origin.now,
            last_rejected_at=origin.now,
            resolved_at=None,
            resolution=None,
        )


def _what_and_where(row: RejectedRow) -> tuple[str, ...]:
    return row.rule_id, row.reason, row.batch, row.file, row.position
