"""From the rows of a page to records, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.sources.files.page_rows import PageRows, RowAt
from include.sources.files.values import Records
from include.sources.parsing import RowRejected, rejection
from include.sources.source import Parsed


def read_page(rows: PageRows, records: Records, lines: Records | None) -> Parsed:
    """Records of a page. A line that does not fit is rejected alone, and its row kept."""
    parsed = Parsed()
    for position, row in enumerate(rows.rows):
        if rows.is_lone:
            _reject_lone(rows, row, position, records, parsed)
        elif lines is None:
            _read_row(rows, row, position, records, parsed)
        else:
            _read_row_with_lines(rows, row, position, records, lines, parsed)
    return parsed


def _read_row(rows: PageRows, row: RowAt, position: int, records: Records, parsed: Parsed) -> bool:
    try:
        record = records.record(row.values(), written_at=row.part.modified_at)
    except RowRejected as error:
        parsed.rejections.append(rejection(records.entity.name, row.told(error), rows[position], str(position)))
        return False
    parsed.records.append(record)
    parsed.positions.append(position)
    return True


def _read_row_with_lines(
    rows: PageRows, row: RowAt, position: int, records: Records, lines: Records, parsed: Parsed
) -> None:
    own = rows.lines[position]
    found: list[Any] = []
    numbers: list[int] = []
    refused: list[tuple[int, RowRejected]] = []
    for number, line in enumerate(own):
        try:
            found.append(lines.line(line.values()))
            numbers.append(number)
        except RowRejected as error:
            refused.append((number, line.told(error)))
    try:
        record = records.record(row.values(), written_at=row.part.modified_at, children=found)
    except RowRejected as error:
        error = row.told(error)
        parsed.rejections.append(rejection(records.entity.name, error, rows[position], str(position)))
        because = f"the {records.entity.name} row it belongs to was rejected: {error}"
        orphaned = RowRejected("parent_rejected", because)
        _reject_lines(own, [(number, orphaned) for number in range(len(own))], position, lines, parsed)
        return
    parsed.records.append(record)
    parsed.positions.append(position)
    parsed.line_positions.append(numbers)
    _reject_lines(own, refused, position, lines, parsed)


def _reject_lines(
    own: Sequence[RowAt], refused: Sequence[tuple[int, RowRejected]], position: int, lines: Records, parsed: Parsed
) -> None:
    for number, error in refused:
        raw = own[number].encoded(lines)
        parsed.rejections.append(rejection(lines.entity.name, error, raw, f"{position}.{number}"))


def _reject_lone(rows: PageRows, row: RowAt, position: int, records: Records, parsed: Parsed) -> None:
    """A line without a readable key stands for the row that it should have been a part of."""
    try:
        row.values()
        because = f"its {', '.join(records.entity.key)} cannot be read"
    except RowRejected as error:
        because = str(error)
    because += f", so nobody knows which of {records.entity.name} it belongs to"
    told = row.told(RowRejected("line_without_row", because))
    parsed.rejections.append(rejection(records.entity.name, told, rows[position], str(position)))
