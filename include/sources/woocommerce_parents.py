"""Reading orders or refunds row by row, their lines one by one; and whole pages at once where everything fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from include.entities.entity import Entity
from include.entities.window import Window
from include.sources.columns import Columns
from include.sources.parsing import RowRejected, decode_row, rejection, required_in
from include.sources.source import Page, Parsed, Rejection
from include.sources.woocommerce import WooCommerceSource
from include.sources.woocommerce_columns import ParentColumns
from include.sources.woocommerce_lines import Kind, WireLine, decode_line, required_of_lines, split_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentReader:
    """How one kind of parent is read.

    :param row_decoder: reads one row without its lines.
    :param to_record: from a typed row, its records of lines and the page to a record.
    :param to_line: from a typed line, its kind and the typed row to a record of a line.
    """

    entity: Entity
    row_decoder: msgspec.json.Decoder
    to_record: Callable[[Any, Sequence[Any], Page], Any]
    to_line: Callable[[WireLine, Kind, Any], Any]

    def read(self, page: Page, rows: Sequence[bytes]) -> Parsed:
        """Records of one page, row by row and line by line.

        :param rows: the raw rows of the page.
        """
        parsed = Parsed()
        for position, raw in enumerate(rows):
            self._read_row(page, raw, position, parsed)
        return parsed

    def _read_row(self, page: Page, raw: bytes, position: int, parsed: Parsed) -> None:
        rejected: list[Rejection] = []
        try:
            wire = decode_row(raw, self.row_decoder)
            lines, numbers = self._read_lines(raw, wire, position, rejected)
            record = self.to_record(wire, lines, page)
        except RowRejected as error:
            parsed.rejections.append(rejection(self.entity.name, error, raw, str(position)))
            parsed.rejections.extend(self._orphans(raw, error, position))
            return
        parsed.records.append(record)
        parsed.positions.append(position)
        parsed.line_positions.append(numbers)
        parsed.rejections.extend(rejected)

    def _read_lines(
        self, raw: bytes, wire: Any, position: int, rejected: list[Rejection]
    ) -> tuple[list[Any], list[int]]:
        assert self.entity.child is not None
        lines, numbers = [], []
        for number, (kind, raw_line) in enumerate(split_lines(raw)):
            try:
                lines.append(self.to_line(decode_line(raw_line, kind), kind, wire))
                numbers.append(number)
            except RowRejected as error:
                rejected.append(rejection(self.entity.child.name, error, raw_line, f"{position}.{number}"))
        return lines, numbers

    def _orphans(self, raw: bytes, because: RowRejected, position: int) -> list[Rejection]:
        """The lines of a rejected row: they were received too, and cannot be loaded without it."""
        assert self.entity.child is not None
        try:
            lines = split_lines(raw)
        except RowRejected:
            return []
        error = RowRejected("parent_rejected", f"the {self.entity.name} row it belongs to was rejected: {because}")
        return [
            rejection(self.entity.child.name, error, line, f"{position}.{number}")
            for number, (_, line) in enumerate(lines)
        ]


class WooCommerceParents(WooCommerceSource):
    """A WooCommerce resource whose rows have lines.

    :cvar reader: how rows and lines become records.
    :cvar whole_pages: how pages become columns.
    """

    reader: ParentReader
    whole_pages: ParentColumns

    def split_lines(self, row: bytes) -> list[bytes]:
        """The raw lines of one raw row."""
        return [raw for _, raw in split_lines(row)]

    def parse(self, page: Page, window: Window) -> Parsed:
        """Records of a page; a line that does not fit is rejected alone, and its row kept."""
        return self.reader.read(page, self.split(page.body, window))

    def required_fields(self) -> frozenset[str]:
        """The fields that rows and lines cannot be read without."""
        return required_in(self.reader.row_decoder) | required_of_lines()

    def columns(self, pages: Sequence[Page]) -> Columns:
        """All records of some pages at once.

        :raises ValueError: something on them does not fit.
        """
        return self.whole_pages.read(pages)
