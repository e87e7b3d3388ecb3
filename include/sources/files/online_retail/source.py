"""A whole shop from Online Retail exports: customers, products, orders and refunds out of one kind of line.

What an export says of a product or a customer stands all over it, so the exports are read whole, some 300 bytes of
memory for each line; a page holds the raw lines of some records. docs/online-retail.md says by which rules.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Literal

import msgspec

from include.entities.entity import Entity
from include.entities.window import Window
from include.sources.errors import ContractBroken
from include.sources.files.csv_records import NotCsv, Record, read_form, records
from include.sources.files.online_retail.errors import ExportRefused
from include.sources.files.online_retail.export import Export, export_of
from include.sources.files.online_retail.fees import sku_of
from include.sources.files.online_retail.lines import Lines, joined
from include.sources.files.online_retail.page_rows import LINES, RetailRows
from include.sources.files.online_retail.products import product_names
from include.sources.files.online_retail.shop import records_in, unnamed_skus
from include.sources.files.pages import Part, page_of, runs_of
from include.sources.files.rows import csv_content
from include.sources.files.storage import Storage, StoredFile
from include.sources.files.threaded import in_a_thread
from include.sources.settings import SourceSettings
from include.sources.source import Page, Parsed

PAGE_LINES = 10_000
_ROW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
Opened = list[tuple[StoredFile, Export]]


class OnlineRetailFiles:
    """Online Retail exports in one folder, or a single one.

    :param page_lines: lines on one page, if a record does not need more.
    """

    def __init__(self, entity: Entity, settings: SourceSettings, *, page_lines: int = PAGE_LINES) -> None:
        self.entity = entity
        self.name = settings.name
        self._storage = Storage(settings)
        self._page_lines = page_lines

    async def pages(self, window: Window) -> AsyncGenerator[Page]:
        """The records of the window with the lines that make them. Lines that cannot be read come with the orders.

        :raises ContractBroken: there is no such folder, or a file is no Online Retail export.
        :raises SourceError: the files cannot be read.
        """
        async with aclosing(in_a_thread(self._pages(self._reach(window)))) as pages:
            async for page in pages:
                yield page

    def split(self, body: bytes, window: Window) -> RetailRows:
        """The raw rows of a page as JSON objects.

        :raises ValueError: the body is no page of Online Retail.
        """
        return RetailRows(body, self.entity, self._reach(window))

    def split_lines(self, row: bytes) -> list[bytes]:
        """The raw lines inside one raw row; one that cannot be read has none."""
        if self.entity.child is None or row.startswith(b"["):
            return []
        return [bytes(line) for line in _ROWS.decode(_ROW.decode(row)[LINES])]

    def required_fields(self) -> frozenset[str]:
        """None: a file that lacks a column is refused where it is opened."""
        return frozenset()

    def parse(self, page: Page, window: Window) -> Parsed:
        """Typed records of a page; rows and lines that do not fit are rejected one by one, with file and line."""
        return self.split(page.body, window).parsed()

    def _reach(self, window: Window) -> Window:
        return window.widened(back=self.entity.look_back)

    def _pages(self, reach: Window) -> Iterator[Page]:
        opened = [(file, self._export(file)) for file in self._storage.files()]
        if self.entity.name == "orders":
            for number, (_, export) in enumerate(opened):
                broken = [(number, place) for place, _ in export.broken]
                for start in range(0, len(broken), self._page_lines):
                    yield page_of(self._parts(opened, broken[start : start + self._page_lines]))
        if not any(len(export.typed.lines) for _, export in opened):
            return
        lines = joined([export.typed.lines for _, export in opened])
        names = product_names(lines)
        bare = unnamed_skus(lines)
        of_line = _Places([export for _, export in opened])
        for chosen in self._on_pages(lines, reach, names):
            own = {sku: names[sku] for sku in sorted(bare & _skus(lines, chosen)) if sku in names}
            yield page_of(self._parts(opened, [of_line[line] for line in chosen]), names=own)

    def _on_pages(self, lines: Lines, reach: Window, names: dict[str, str]) -> Iterator[list[int]]:
        """The places of the lines of each page, in their order."""
        chosen: list[int] = []
        for found in records_in(self.entity.name, lines, reach, names=names):
            if chosen and len(chosen) + len(found.lines) > self._page_lines:
                yield sorted(chosen)
                chosen = []
            chosen += found.lines
        if chosen:
            yield sorted(chosen)

    def _parts(self, opened: Opened, places: Sequence[tuple[int, int]]) -> list[tuple[Part, bytes]]:
        """The lines of each file as parts; one with an open quote ends its part, or it would swallow the next."""
        parts = []
        for number, (file, export) in enumerate(opened):
            own: list[Record] = []
            for record in (export.records[place] for of_file, place in places if of_file == number):
                own.append(record)
                if record.is_open:
                    parts.append(self._part(file, export, own))
                    own = []
            if own:
                parts.append(self._part(file, export, own))
        return parts

    def _part(self, file: StoredFile, export: Export, own: Sequence[Record]) -> tuple[Part, bytes]:
        content = csv_content(export.form.header, [record.raw for record in own])
        part = Part(
            entity=self.entity.name,
            file=file.name,
            format="csv",
            modified_at=file.modified_at,
            runs=runs_of([record.line for record in own]),
            size=len(content),
            encoding="utf-8" if export.form.encoding == "utf-8" else "latin-1",
            is_day_first=export.is_day_first,
        )
        return part, content

    def _export(self, file: StoredFile) -> Export:
        with self._storage.open(file) as stream:
            content = stream.read()
        try:
            form = read_form(io.BytesIO(content), encoding=_encoding(content))
            stream = io.BytesIO(content)
            stream.readline()
            return export_of(list(records(stream, form)), form, file.name)
        except (ExportRefused, NotCsv) as error:
            raise ContractBroken(
                f"{file.name} of the connection `{self.name}` cannot be read as an Online Retail export: {error}. "
                "Nothing was loaded."
            ) from error


class _Places:
    """Of each line of all exports its export and its place there."""

    def __init__(self, exports: Sequence[Export]) -> None:
        self._files, self._places = array("q"), array("q")
        for number, export in enumerate(exports):
            self._files.extend([number] * len(export.places))
            self._places.extend(export.places)

    def __getitem__(self, line: int) -> tuple[int, int]:
        return self._files[line], self._places[line]


def _encoding(content: bytes) -> Literal["utf-8", "latin-1"]:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _skus(lines: Lines, chosen: Sequence[int]) -> set[str]:
    return {sku_of(lines.stock_codes[line]) for line in chosen}
