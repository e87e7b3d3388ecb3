"""Judging records by the rules of their entity: whole pages at once, row by row only where a page does not fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from include.entities.digests import digests, digests_with_lines
from include.entities.entity import Entity, with_digests
from include.entities.window import Window
from include.sources.columns import Columns, ReadsColumns
from include.sources.source import Page, Parsed, Rejection, Source

PAGES_AT_ONCE = 20
BYTES_AT_ONCE = 8 << 20
_NO_LINE_LEFT = ("no_line_left", "every one of its lines was rejected")


@dataclass(frozen=True, slots=True)
class JudgedPages:
    """The rows of some pages that are let in, and by the name of their page those that are not.

    :param pages: the pages, by name.
    """

    pages: Mapping[str, Page]
    rows: pa.Table
    lines: pa.Table | None
    rejections: Mapping[str, list[Rejection]]


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows of one page that are let in, and those that are not."""

    rows: pa.Table
    lines: pa.Table | None
    rejections: list[Rejection]


def judge_page(source: Source, page: Page, window: Window) -> Judged:
    """Parse a page and apply the entity's rules; see `judge_pages`."""
    (judged,) = judge_pages(source, [("", page)], window)
    return Judged(judged.rows, judged.lines, judged.rejections.get("", []))


def judge_pages(source: Source, pages: Iterable[tuple[str, Page]], window: Window) -> Iterator[JudgedPages]:
    """Parse pages and apply the entity's rules, some pages at a time; memory holds `BYTES_AT_ONCE` and one page.

    A rejected line leaves its order standing, unless no line is left; a rejected order takes its lines along.

    :param pages: with their names.
    """
    for group in _groups(pages):
        columns = _columns(source, group)
        if columns is not None:
            yield _judge(source, window, group, columns, [])
            continue
        for named in group:
            columns = _columns(source, [named]) if len(group) > 1 else None
            if columns is None:
                parsed = source.parse(named[1], window)
                rejected = [each for each in parsed.rejections if _row(each) >= named[1].repeated_rows]
                yield _judge(source, window, [named], _columns_of(source.entity, parsed), rejected)
            else:
                yield _judge(source, window, [named], columns, [])


def first_broken_rule(entity: Entity, rows: pa.Table) -> np.ndarray:
    """For each row the number of the first rule that it breaks, or -1; a rule over a null is met."""
    broken = np.full(rows.num_rows, -1, dtype=np.int16)
    for number, rule in reversed(list(enumerate(entity.rules))):
        holds = rule.holds(rows).fill_null(True).to_numpy()
        broken[~holds] = number
    return broken


def _groups(pages: Iterable[tuple[str, Page]]) -> Iterator[list[tuple[str, Page]]]:
    group: list[tuple[str, Page]] = []
    size = 0
    for named in pages:
        group.append(named)
        size += len(named[1].body)
        if len(group) == PAGES_AT_ONCE or size >= BYTES_AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _columns(source: Source, group: Sequence[tuple[str, Page]]) -> Columns | None:
    """The records of whole pages; None where one of them has to be read row by row."""
    if not isinstance(source, ReadsColumns):
        return None
    try:
        return source.columns([page for _, page in group])
    except ValueError:  # found again, and named, row by row
        return None


def _columns_of(entity: Entity, parsed: Parsed) -> Columns:
    """The records of one page that was read row by row."""
    lines: pa.Table | None = None
    owners: list[int] = []
    numbers: list[int] = []
    versions = [record.source_updated_at for record in parsed.records]
    if entity.child is not None and entity.child_field is not None:
        records: list[Any] = []
        for row, record in enumerate(parsed.records):
            own = getattr(record, entity.child_field)
            owners.extend([row] * len(own))
            numbers.extend(parsed.line_positions[row])
            records.extend(own)
        lines = entity.child.to_arrow(records, versions=[versions[owner] for owner in owners])
    return Columns(
        rows=entity.to_arrow(parsed.records, versions=versions),
        pages=np.zeros(len(parsed.records), dtype=np.int64),
        positions=np.array(parsed.positions, dtype=np.int64),
        lines=lines,
        owners=np.array(owners, dtype=np.int64),
        line_positions=np.array(numbers, dtype=np.int64),
    )


def _judge(
    source: Source, window: Window, group: Sequence[tuple[str, Page]], columns: Columns, rejected: list[Rejection]
) -> JudgedPages:
    """:param rejected: what could not be read of a group of one page."""
    entity = source.entity
    columns = _without_repeated(columns, [page for _, page in group])
    judgement = _Judgement(entity, columns, {_row(each) for each in rejected})
    names = [name for name, _ in group]
    rejections: dict[str, list[Rejection]] = defaultdict(list)
    if rejected:
        rejections[names[0]] += rejected
    if not judgement.is_clean:
        raw = [_RawPage(source, page, window) for _, page in group]
        for page, rejection in _rejections(entity, columns, judgement, raw):
            rejections[names[page]].append(rejection)
    return JudgedPages(dict(group), judgement.rows, judgement.lines, dict(rejections))


def _without_repeated(columns: Columns, pages: Sequence[Page]) -> Columns:
    """Without the rows that stood on the page before theirs, and their lines."""
    repeated = np.array([page.repeated_rows for page in pages], dtype=np.int64)
    stays = columns.positions >= repeated[columns.pages]
    if stays.all():
        return columns
    lines_stay = stays[columns.owners]
    return Columns(
        rows=_filtered(columns.rows, stays),
        pages=columns.pages[stays],
        positions=columns.positions[stays],
        lines=None if columns.lines is None else _filtered(columns.lines, lines_stay),
        owners=(np.cumsum(stays) - 1)[columns.owners[lines_stay]],
        line_positions=columns.line_positions[lines_stay],
    )


def _row(rejection: Rejection) -> int:
    """The row of its page that a rejection is about."""
    return int(rejection.position.split(".")[0])


class _Judgement:
    """Which rows and lines stay.

    :param bare: positions of rows of a single page that had lines which could not be read.
    """

    def __init__(self, entity: Entity, columns: Columns, bare: set[int]) -> None:
        child, all_lines = entity.child, columns.lines
        self.broken = first_broken_rule(entity, columns.rows)
        self.is_bare = np.zeros(columns.rows.num_rows, dtype=bool)
        self.broken_lines = np.zeros(0, dtype=np.int16)
        if child is None or all_lines is None:
            self.owner_stays = np.zeros(0, dtype=bool)
            stays = self.broken < 0
            self.rows = with_digests(columns.rows, digests(entity, columns.rows))
            self.lines = None
        else:
            self.broken_lines = first_broken_rule(child, all_lines)
            accepted = self.broken_lines < 0
            line_digests = digests(child, all_lines)
            counts = np.bincount(columns.owners[accepted], minlength=columns.rows.num_rows)
            had_lines = np.bincount(columns.owners, minlength=columns.rows.num_rows) > 0
            if bare:
                had_lines |= np.isin(columns.positions, list(bare))
            self.is_bare = had_lines & (counts == 0) & (self.broken < 0)
            stays = (self.broken < 0) & ~self.is_bare
            self.owner_stays = stays[columns.owners]
            kept, owners = line_digests, columns.owners
            if not accepted.all():
                kept, owners = line_digests.filter(pa.array(accepted)), owners[accepted]
            parents = digests_with_lines(entity, columns.rows, kept, owners)
            self.rows = with_digests(columns.rows, parents)
            lines = with_digests(all_lines, line_digests)
            owned = parents.take(pa.array(columns.owners))
            self.lines = _filtered(with_digests(lines, owned, name="parent_digest"), accepted & self.owner_stays)
        self.rows = _filtered(self.rows, stays)
        self.is_clean = bool(stays.all() and (self.broken_lines < 0).all())


def _filtered(rows: pa.Table, stays: np.ndarray) -> pa.Table:
    return rows if stays.all() else rows.filter(pa.array(stays))


class _RawPage:
    """The raw rows of a page, cut out only if something must be quarantined."""

    def __init__(self, source: Source, page: Page, window: Window) -> None:
        self._source, self._page, self._window = source, page, window
        self._lines: dict[int, Sequence[bytes]] = {}

    @cached_property
    def _rows(self) -> Sequence[bytes]:
        return self._source.split(self._page.body, self._window)

    def row(self, position: int) -> bytes:
        return self._rows[position]

    def line(self, position: int, number: int) -> bytes:
        if position not in self._lines:
            self._lines = {position: self._source.split_lines(self._rows[position])}
        return self._lines[position][number]


def _rejections(
    entity: Entity, columns: Columns, judgement: _Judgement, raw: Sequence[_RawPage]
) -> Iterator[tuple[int, Rejection]]:
    """What does not stay, with the number of its page: rows by their rules, rows without a line left, lines."""
    pages, positions = columns.pages.tolist(), columns.positions.tolist()
    for row in np.flatnonzero((judgement.broken >= 0) | judgement.is_bare).tolist():
        because = _NO_LINE_LEFT
        if judgement.broken[row] >= 0:
            rule = entity.rules[judgement.broken[row]]
            because = (rule.rule_id, rule.reason)
        page, position = pages[row], positions[row]
        yield page, _reject(entity.name, because, raw[page].row(position), str(position))
    if entity.child is None:
        return
    for line in np.flatnonzero((judgement.broken_lines >= 0) | ~judgement.owner_stays).tolist():
        row, number = int(columns.owners[line]), int(columns.line_positions[line])
        because = _line_reason(entity, entity.child, int(judgement.broken_lines[line]), int(judgement.broken[row]))
        page, position = pages[row], positions[row]
        payload = raw[page].line(position, number)
        yield page, _reject(entity.child.name, because, payload, f"{position}.{number}")


def _line_reason(entity: Entity, child: Entity, line_rule: int, parent_rule: int) -> tuple[str, str]:
    if line_rule >= 0:
        rule = child.rules[line_rule]
        return rule.rule_id, rule.reason
    reason = entity.rules[parent_rule].reason
    return "parent_rejected", f"the {entity.name} row it belongs to was rejected: {reason}"


def _reject(entity: str, because: tuple[str, str], payload: bytes, position: str) -> Rejection:
    rule_id, reason = because
    return Rejection(entity=entity, rule_id=rule_id, reason=reason, payload=payload, position=position)
