"""A warehouse in memory: the same merge, written the obvious way, for tests that need no server."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

from include.entities.entity import Entity, Resolution
from include.entities.window import Window
from include.warehouse.receipts import Receipt
from include.warehouse.repository import WRITTEN, Rows
from include.warehouse.upsert import NO_DETAILS, NOTHING_REJECTED, Rejected

Row = dict[str, Any]


@dataclass
class MemoryStore:
    """What a repository, a quarantine and receipts over the same store share.

    :param tables: per entity the stored rows by key; a row is replaced, never changed.
    """

    tables: dict[str, dict[tuple[Any, ...], Row]] = field(default_factory=lambda: defaultdict(dict))
    receipts: list[Receipt] = field(default_factory=list)
    rejected_rows: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    quality_results: list[Any] = field(default_factory=list)
    source_fields: dict[tuple[str, ...], Any] = field(default_factory=dict)
    schema_changes: dict[tuple[str, ...], Any] = field(default_factory=dict)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Puts everything back as it was if the block raises."""
        before = {
            name: {key: dict(rows) for key, rows in value.items()} if name == "tables" else copy.copy(value)
            for name, value in vars(self).items()
        }
        try:
            yield
        except BaseException:
            before["tables"] = defaultdict(dict, before["tables"])
            vars(self).update(before)
            raise


@dataclass
class _Outcome:
    """What a merge did; `changed` maps the keys that were written to whether they had been there."""

    counts: dict[str, int]
    changed: dict[tuple[Any, ...], bool]
    kept: dict[tuple[Any, ...], Row]
    oldest_event_at: datetime | None = None


class MemoryRepository:
    """Records in a `MemoryStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def transaction(self):  # type: ignore[no-untyped-def]  # a context manager
        """A transaction of the store."""
        return self._store.transaction()

    def upsert(
        self,
        entity: Entity,
        rows: Rows,
        *,
        window: Window,
        source: str,
        now: datetime,
        child_rows: Rows | None = None,
        rejected: Rejected = NOTHING_REJECTED,
        batch: str | None = None,
        is_correction: bool = False,
        details: Mapping[str, Any] = NO_DETAILS,
    ) -> list[Receipt]:
        """See `Repository.upsert`."""
        written = {"source": source, "ingested_at": now}
        with self._store.transaction():
            incoming = _dicts(rows, entity)
            before = dict(self._store.tables[entity.name])
            outcome = self._merge(entity, incoming, written, is_correction=is_correction)
            accounts = [(entity, len(incoming), rejected.rows, outcome.counts)]
            if entity.child is not None:
                lines = [] if child_rows is None else _dicts(child_rows, entity.child)
                counts = self._merge_lines(entity, entity.child, lines, outcome, before, written)
                accounts.append((entity.child, len(lines), rejected.child_rows, counts))
            receipts = [
                Receipt(
                    step="upsert",
                    entity=each.name,
                    window=window,
                    received=row_count + rejected_count,
                    quarantined=rejected_count,
                    oldest_event_at=outcome.oldest_event_at,
                    batch=batch,
                    details=details,
                    **counts,
                )
                for each, row_count, rejected_count, counts in accounts
            ]
            self._store.receipts += receipts
        return receipts

    def get(self, entity: Entity, key: tuple[Any, ...]) -> Mapping[str, Any] | None:
        """See `Repository.get`."""
        row = self._store.tables[entity.name].get(key)
        return row and {name: row[name] for name in (*entity.columns, "source_updated_at", *WRITTEN)}

    def versions(
        self, entity: Entity, keys: Sequence[tuple[Any, ...]]
    ) -> Mapping[tuple[Any, ...], tuple[datetime, bytes]]:
        """See `Repository.versions`."""
        table = self._store.tables[entity.name]
        return {key: _version(table[key]) for key in keys if key in table}

    def _merge(self, entity: Entity, incoming: list[Row], written: Row, *, is_correction: bool) -> _Outcome:
        table = self._store.tables[entity.name]
        counts = dict.fromkeys(("inserted", "updated", "unchanged", "stale", "duplicate"), 0)
        outcome = _Outcome(counts, {}, {})
        for key, versions in _by_key(entity, incoming).items():
            old, best = table.get(key), versions[-1]
            outcome.kept[key] = best
            counts["duplicate"] += len(versions) - 1
            if old is not None and not _wins(entity, best, old, is_correction=is_correction):
                is_same = best["content_digest"] == old["content_digest"]
                is_same &= entity.is_observed or best["source_updated_at"] == old["source_updated_at"]
                counts["unchanged" if is_same else "stale"] += 1
                continue
            row = old
            for version in versions:
                if old is None or _version(version) > _version(old) or version is best:
                    row = _resolved(entity, version, row)
            assert row is not None
            first_seen_at = written["ingested_at"] if old is None else old["first_seen_at"]
            table[key] = {**row, **written, "first_seen_at": first_seen_at}
            counts["inserted" if old is None else "updated"] += 1
            outcome.changed[key] = old is not None
            if entity.event_time:
                times = [each[entity.event_time] for each in (old, row) if each and each[entity.event_time]]
                outcome.oldest_event_at = min(filter(None, [outcome.oldest_event_at, *times]), default=None)
        return outcome

    def _merge_lines(
        self,
        parent: Entity,
        child: Entity,
        lines: list[Row],
        outcome: _Outcome,
        before: Mapping[tuple[Any, ...], Row],
        written: Row,
    ) -> dict[str, int]:
        table = self._store.tables[child.name]
        parents = self._store.tables[parent.name]
        current = [line for line in lines if _is_of(line, outcome.kept[_key(parent, line)])]
        newest = {key: versions[-1] for key, versions in _by_key(child, current).items()}
        counts = dict.fromkeys(("inserted", "updated", "unchanged", "stale", "deleted"), 0)
        counts["duplicate"] = len(lines) - len(newest)
        for key, line in newest.items():
            owner = _key(parent, line)
            old = table.get(key)
            if owner not in outcome.changed:
                stored = parents[owner]
                is_behind = (line["source_updated_at"], line["parent_digest"]) < _version(stored)
                counts["stale" if is_behind else "unchanged"] += 1
            elif old is not None and _version(old) == _version(line):
                counts["unchanged"] += 1
            else:
                first_seen_at = written["ingested_at"] if old is None else old["first_seen_at"]
                table[key] = {**line, **written, "first_seen_at": first_seen_at}
                counts["inserted" if old is None else "updated"] += 1
        vanished = [key for key, line in table.items() if outcome.changed.get(_key(parent, line)) and key not in newest]
        for key in vanished:
            del table[key]
        counts["deleted"] = len(vanished)
        return counts


def _dicts(rows: Rows, entity: Entity) -> list[Row]:
    table = rows if isinstance(rows, pa.Table) else rows.read_all()
    return [
        {name: msgspec.json.decode(value) if name in entity.json_columns else value for name, value in row.items()}
        for row in table.to_pylist()
    ]


def _key(entity: Entity, row: Row) -> tuple[Any, ...]:
    return tuple(row[column] for column in entity.key)


def _by_key(entity: Entity, rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """Per key its versions, the winning one last."""
    grouped: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=_version):
        grouped[_key(entity, row)].append(row)
    return grouped


def _version(row: Row) -> tuple[datetime, bytes]:
    return row["source_updated_at"], row["content_digest"]


def _is_of(line: Row, parent: Row) -> bool:
    return (line["source_updated_at"], line["parent_digest"]) == _version(parent)


def _wins(entity: Entity, new: Row, old: Row, *, is_correction: bool) -> bool:
    differs = new["content_digest"] != old["content_digest"]
    if is_correction and differs and new["source_updated_at"] == old["source_updated_at"]:
        return True
    return _version(new) > _version(old) and (differs or not entity.is_observed)


def _resolved(entity: Entity, new: Row, old: Row | None) -> Row:
    if old is None:
        return new
    row = dict(new)
    for column in entity.columns:
        resolution, ours, theirs = entity.resolution(column), new[column], old[column]
        if resolution is Resolution.NEWEST_NON_NULL:
            row[column] = theirs if ours is None else ours
        elif resolution is Resolution.KEEP_FIRST:
            row[column] = ours if theirs is None else theirs
        elif resolution is Resolution.MERGE_JSON:
            row[column] = {**theirs, **ours}
    return row
