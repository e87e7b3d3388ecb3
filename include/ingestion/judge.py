"""Judging the records of one page by the rules of their entity."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from include.entities.entity import DIGEST, Entity, digest_of
from include.entities.window import Window
from include.sources.source import Page, Parsed, Rejection, Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LINE_LEFT = ("no_line_left", "every one of its lines was rejected")


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows of a page that are let in, and those that are not."""

    rows: pa.Table
    lines: pa.Table | None
    rejections: list[Rejection]


class _RawPage:
    """The raw rows of a page, cut out only if something must be quarantined."""

    def __init__(self, source: Source, page: Page, window: Window) -> None:
        self._source, self._page, self._window = source, page, window

    @cached_property
    def _rows(self) -> Sequence[bytes]:
        return self._source.split(self._page.body, self._window)

    def row(self, position: int) -> bytes:
        return self._rows[position]

    def line(self, position: int, number: int) -> bytes:
        return self._source.split_lines(self._rows[position])[number]


def judge_page(source: Source, page: Page, window: Window) -> Judged:
    """Parse a page and apply the entity's rules.

    A rejected line leaves its order standing, unless no line is left; a rejected order takes its lines along.
    """
    entity = source.entity
    parsed = source.parse(page, window)
    raw = _RawPage(source, page, window)
    if entity.child is None:
        digests = [_digest(record, entity) for record in parsed.records]
        rows = entity.to_arrow(parsed.records, versions=_versions(parsed.records), digests=digests)
        broken = first_broken_rule(entity, rows)
        rejections = _row_rejections(entity, broken, parsed, raw)
        return Judged(rows.filter(pa.array(broken < 0)), None, [*parsed.rejections, *rejections])
    return _judge_with_lines(entity, entity.child, parsed, raw)


def first_broken_rule(entity: Entity, rows: pa.Table) -> np.ndarray:
    """For each row the number of the first rule that it breaks, or -1; a rule over a null is met."""
    broken = np.full(rows.num_rows, -1, dtype=np.int16)
    for number, rule in reversed(list(enumerate(entity.rules))):
        holds = rule.holds(rows).fill_null(True).to_numpy()
        broken[~holds] = number
    return broken


def _judge_with_lines(entity: Entity, child: Entity, parsed: Parsed, raw: _RawPage) -> Judged:
    assert entity.child_field is not None
    owners: list[int] = []
    numbers: list[int] = []
    lines: list[Any] = []
    for index, record in enumerate(parsed.records):
        own = getattr(record, entity.child_field)
        owners.extend([index] * len(own))
        numbers.extend(parsed.line_positions[index])
        lines.extend(own)
    line_digests = [digest_of(line) for line in lines]
    versions = _versions(parsed.records)
    line_rows = child.to_arrow(lines, versions=[versions[owner] for owner in owners], digests=line_digests)
    broken_lines = first_broken_rule(child, line_rows)

    accepted: list[set[bytes]] = [set() for _ in parsed.records]
    had_lines = {int(r.position.split(".")[0]) for r in parsed.rejections if "." in r.position}
    is_bare = np.array([position in had_lines for position in parsed.positions], dtype=bool)
    for owner, digest, rule in zip(owners, line_digests, broken_lines, strict=True):
        is_bare[owner] = True
        if rule < 0:
            accepted[owner].add(digest)
    digests = [_digest(record, entity, line_digests=own) for record, own in zip(parsed.records, accepted, strict=True)]
    rows = entity.to_arrow(parsed.records, versions=versions, digests=digests)
    broken = first_broken_rule(entity, rows)
    is_bare &= np.array([not own for own in accepted], dtype=bool) & (broken < 0)

    keep = (broken < 0) & ~is_bare
    owner_kept = keep[owners] if owners else np.zeros(0, dtype=bool)
    rejections = [*parsed.rejections, *_row_rejections(entity, broken, parsed, raw)]
    for index in np.flatnonzero(is_bare).tolist():
        position = parsed.positions[index]
        rejections.append(_reject(entity.name, _NO_LINE_LEFT, raw.row(position), str(position)))
    for index in np.flatnonzero((broken_lines >= 0) | ~owner_kept).tolist():
        position = parsed.positions[owners[index]]
        because = _line_reason(entity, child, int(broken_lines[index]), int(broken[owners[index]]))
        payload = raw.line(position, numbers[index])
        rejections.append(_reject(child.name, because, payload, f"{position}.{numbers[index]}"))
    parent_digests = pa.array([digests[owner] for owner in owners], DIGEST)
    line_rows = line_rows.append_column("parent_digest", parent_digests)
    return Judged(rows.filter(pa.array(keep)), line_rows.filter(pa.array((broken_lines < 0) & owner_kept)), rejections)


def _line_reason(entity: Entity, child: Entity, line_rule: int, parent_rule: int) -> tuple[str, str]:
    if line_rule >= 0:
        rule = child.rules[line_rule]
        return rule.rule_id, rule.reason
    reason = entity.rules[parent_rule].reason
    return "parent_rejected", f"the {entity.name} row it belongs to was rejected: {reason}"


def _row_rejections(entity: Entity, broken: np.ndarray, parsed: Parsed, raw: _RawPage) -> list[Rejection]:
    found = []
    for index in np.flatnonzero(broken >= 0):
        rule = entity.rules[broken[index]]
        position = parsed.positions[index]
        found.append(_reject(entity.name, (rule.rule_id, rule.reason), raw.row(position), str(position)))
    return found


def _reject(entity: str, because: tuple[str, str], payload: bytes, position: str) -> Rejection:
    rule_id, reason = because
    return Rejection(entity=entity, rule_id=rule_id, reason=reason, payload=payload, position=position)


def _versions(records: Sequence[Any]) -> list[datetime]:
    return [record.source_updated_at for record in records]


def _digest(record: Any, entity: Entity, *, line_digests: set[bytes] | None = None) -> bytes:
    """Digest of the content: without the version, and with the set of its accepted lines."""
    if line_digests is None:
        return digest_of(dataclasses.replace(record, source_updated_at=_EPOCH))
    bare = dataclasses.replace(record, source_updated_at=_EPOCH, **{entity.child_field or "": ()})
    return digest_of((bare, sorted(line_digests)))
