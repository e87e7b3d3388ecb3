"""The rows of a page, each with its lines, as raw JSON and as cells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, overload

import msgspec

from include.sources.files.pages import Part, parts_of, rows_in
from include.sources.files.rows import FileRows, payload_value
from include.sources.files.values import VERSION, Records
from include.sources.parsing import RowRejected


@dataclass(frozen=True, slots=True)
class RowAt:
    """One row of a part."""

    part: Part
    rows: FileRows
    place: int

    def values(self) -> Mapping[str, Any]:
        """The cells by column.

        :raises RowRejected: the row cannot be taken apart.
        """
        return self.rows.values(self.place)

    def told(self, error: RowRejected) -> RowRejected:
        """The same error, with file and line."""
        return RowRejected(error.rule_id, f"{error} ({self.part.place(self.rows.numbers[self.place])})")

    def encoded(self, records: Records) -> bytes:
        """The row for people: a JSON object of its cells."""
        return msgspec.json.encode(self.payload(records))

    def payload(self, records: Records) -> dict[str, Any] | list[dict[str, str]]:
        """As `encoded`; a row that cannot be taken apart has no fields, so it is a list with its text."""
        try:
            return {name: payload_value(value) for name, value in self.values().items()}
        except RowRejected:
            return [{records.whole_row_name: self.rows.text(self.place)}]


class PageRows(Sequence[bytes]):
    """The raw rows of a page as JSON objects, those of a child inside of their parent's.

    Lines of which nobody can tell to what row they belong come on pages without any parent: there each is a row.

    :raises ValueError: the body is no page of files.
    """

    def __init__(self, body: bytes, records: Records, child_records: Records | None) -> None:
        self._records, self._child_records = records, child_records
        index, contents = parts_of(body)
        kinds = [each.entity.name for each in (records, child_records) if each is not None]
        if strange := sorted({part.entity for part in index.parts} - set(kinds)):
            raise ValueError(f"the page holds rows of {strange[0]!r} where those of {' and '.join(kinds)} belong")
        own: list[RowAt] = []
        lines: list[RowAt] = []
        for part, content in zip(index.parts, contents, strict=True):
            rows = rows_in(part, content)
            found = [RowAt(part, rows, place) for place in range(len(rows))]
            (own if part.entity == records.entity.name else lines).extend(found)
        self.is_lone = not own and bool(lines)
        self.rows = lines if self.is_lone else own
        self._loose = [] if self.is_lone else lines

    @cached_property
    def lines(self) -> list[list[RowAt]]:
        """Of each row its lines, in the order of their files."""
        if self._child_records is None or self.is_lone:
            return [[] for _ in self.rows]
        return lines_by_row(self.rows, self._loose, self._records, self._child_records)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, position: int) -> bytes: ...

    @overload
    def __getitem__(self, position: slice) -> list[bytes]: ...

    def __getitem__(self, position: int | slice) -> bytes | list[bytes]:
        if isinstance(position, slice):
            return [self[each] for each in range(len(self))[position]]
        payload = self.rows[position].payload(self._child_records if self.is_lone else self._records)  # type: ignore[arg-type]  # lone lines are those of a child
        field = self._records.entity.child_field
        if field is not None and isinstance(payload, dict) and not self.is_lone:
            payload[field] = [line.payload(self._child_records) for line in self.lines[position]]  # type: ignore[arg-type]  # there is a child
        return msgspec.json.encode(payload)


def lines_by_row(
    rows: Sequence[RowAt], lines: Sequence[RowAt], records: Records, child_records: Records
) -> list[list[RowAt]]:
    """Of each row the lines that have its key and, where lines name a version, its version."""
    by_key: dict[tuple[Any, ...], list[tuple[datetime | None, RowAt]]] = defaultdict(list)
    for line in lines:
        try:
            by_key[child_records.key(line.values(), records.entity.key)].append((_version(line, child_records), line))
        except RowRejected:
            continue
    return [_of_one(row, by_key, records) for row in rows]


def _of_one(
    row: RowAt, by_key: Mapping[tuple[Any, ...], Sequence[tuple[datetime | None, RowAt]]], records: Records
) -> list[RowAt]:
    try:
        found = by_key.get(records.key(row.values()), ())
        if all(version is None for version, _ in found):
            return [line for _, line in found]
        own = _version(row, records) or row.part.modified_at
        return [line for version, line in found if version in (None, own)]
    except RowRejected:
        return []


def _version(row: RowAt, records: Records) -> datetime | None:
    values = row.values()
    return records.version(values, written_at=row.part.modified_at) if VERSION in values else None
