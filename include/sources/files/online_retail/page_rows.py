"""The rows of a page of Online Retail: orders, refunds, customers or products with the lines that make them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import msgspec

from include.entities.entity import Entity
from include.entities.window import Window
from include.sources.files.csv_records import Record
from include.sources.files.online_retail.errors import ExportRefused
from include.sources.files.online_retail.export import Export, export_of
from include.sources.files.online_retail.lines import joined
from include.sources.files.online_retail.shop import Found, records_in
from include.sources.files.pages import Part, parts_of
from include.sources.files.rows import WHOLE_ROW, csv_records
from include.sources.parsing import RowRejected, rejection
from include.sources.source import Parsed

LINES = "lines"


class RetailRows(Sequence[bytes]):
    """The raw rows of a page as JSON objects with their lines; a line that cannot be read is a row of its own.

    :param reach: the window with the entity's look-back.
    :raises ValueError: the body is no page of Online Retail.
    """

    def __init__(self, body: bytes, entity: Entity, reach: Window) -> None:
        self._entity = entity
        index, contents = parts_of(body)
        self._parts = index.parts
        try:
            self._exports = [_export(part, content) for part, content in zip(index.parts, contents, strict=True)]
        except ExportRefused as error:
            raise ValueError(str(error)) from error
        # A place among all lines: the export it stands in, and its record there.
        self._places = [(number, place) for number, export in enumerate(self._exports) for place in export.places]
        self.found: list[Found] = []
        if self._places:
            lines = joined([export.typed.lines for export in self._exports])
            self.found = records_in(entity.name, lines, reach, names=index.names)
        self.broken = [
            (number, place, error) for number, export in enumerate(self._exports) for place, error in export.broken
        ]

    def __len__(self) -> int:
        return len(self.found) + len(self.broken)

    @overload
    def __getitem__(self, position: int) -> bytes: ...

    @overload
    def __getitem__(self, position: slice) -> list[bytes]: ...

    def __getitem__(self, position: int | slice) -> bytes | list[bytes]:
        if isinstance(position, slice):
            return [self[each] for each in range(len(self))[position]]
        position = range(len(self))[position]
        if position < len(self.found):
            found = self.found[position]
            return msgspec.json.encode({**found.name, LINES: [self._cells(line) for line in found.lines]})
        number, place, _ = self.broken[position - len(self.found)]
        text = self._record(number, place).raw.decode(self._exports[number].form.encoding, errors="backslashreplace")
        return msgspec.json.encode([{WHOLE_ROW: text.rstrip("\r\n")}])

    def parsed(self) -> Parsed:
        """Typed records; a line that does not fit is rejected alone, with file and line, and its row kept."""
        parsed = Parsed()
        for position, found in enumerate(self.found):
            self._read(found, position, parsed)
        for position, (number, place, error) in enumerate(self.broken, start=len(self.found)):
            told = self._told(error, number, place)
            parsed.rejections.append(rejection(self._entity.name, told, self[position], str(position)))
        return parsed

    def _read(self, found: Found, position: int, parsed: Parsed) -> None:
        records: list[Any] = []
        numbers: list[int] = []
        refused: list[tuple[int, RowRejected]] = []
        for number, line in enumerate(found.lines if found.read_line is not None else ()):
            try:
                records.append(found.read_line(line))  # type: ignore[misc]  # there are lines, so there is a reading
                numbers.append(number)
            except RowRejected as error:
                refused.append((number, self._told(error, *self._places[line])))
        try:
            record = found.read(records)
        except RowRejected as error:
            told = self._told(error, *self._places[found.lines[0]])
            parsed.rejections.append(rejection(self._entity.name, told, self[position], str(position)))
            because = f"the {self._entity.name} row it belongs to was rejected: {told}"
            refused = [(number, RowRejected("parent_rejected", because)) for number in range(len(found.lines))]
        else:
            parsed.records.append(record)
            parsed.positions.append(position)
            parsed.line_positions.append(numbers)
        if self._entity.child is not None:
            for number, reason in refused:
                raw = msgspec.json.encode(self._cells(found.lines[number]))
                parsed.rejections.append(rejection(self._entity.child.name, reason, raw, f"{position}.{number}"))

    def _cells(self, line: int) -> dict[str, str]:
        number, place = self._places[line]
        form = self._exports[number].form
        return dict(zip(form.names, form.cells(self._record(number, place).raw), strict=True))

    def _record(self, number: int, place: int) -> Record:
        return self._exports[number].records[place]

    def _told(self, error: RowRejected, number: int, place: int) -> RowRejected:
        where = self._parts[number].place(self._record(number, place).line)
        return RowRejected(error.rule_id, f"{error} ({where})")


def _export(part: Part, content: bytes) -> Export:
    form, records = csv_records(content, part.numbers, encoding=part.encoding)
    return export_of(records, form, part.file, is_day_first=part.is_day_first, is_whole=False)
