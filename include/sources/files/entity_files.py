"""Any entity from files: one folder per entity, columns named as the fields of its record.

`orders/2024.csv.gz` holds orders, `order_lines/2024.parquet` their lines, joined by the order's key.

A row belongs to a window by its `source_updated_at`, with the entity's look-back. In a file without that column the
file's own modification time stands for it; a row of such a file belongs to the windows that hold that time, and to
those that hold the row's own event time. A row that cannot be read belongs to every window: it is quarantined, never
passed over.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace

import msgspec

from include.entities.entity import Entity
from include.entities.window import Window
from include.sources.files.chunks import chunks, part_of
from include.sources.files.entity_records import read_page
from include.sources.files.joined import joined_pages
from include.sources.files.page_rows import PageRows
from include.sources.files.pages import page_of
from include.sources.files.rows import FileRows
from include.sources.files.storage import Storage, StoredFile
from include.sources.files.threaded import in_a_thread
from include.sources.files.values import VERSION, Records
from include.sources.parsing import RowRejected
from include.sources.settings import SourceSettings
from include.sources.source import Page, Parsed

PAGE_ROWS = 5000
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_NONE = msgspec.Raw(b"[]")


class EntityFiles:
    """The files of one entity.

    Where a connection's extra names the entity in `observed`, its files say no version: a row whose content is the
    same is then unchanged however often its file is written anew.

    :param page_rows: rows on one page, without those of a child.
    """

    def __init__(self, entity: Entity, settings: SourceSettings, *, page_rows: int = PAGE_ROWS) -> None:
        is_observed = entity.is_observed or entity.name in settings.extra.get("observed", ())
        self.entity = replace(entity, is_observed=is_observed)
        self.name = settings.name
        self._storage = Storage(settings)
        self._page_rows = page_rows
        utc_columns = settings.extra.get("utc_columns", ())
        self._records = Records(entity, utc_columns=utc_columns)
        self._lines = Records(entity.child, utc_columns=utc_columns) if entity.child is not None else None

    async def pages(self, window: Window) -> AsyncGenerator[Page]:
        """The rows of the window, with their lines.

        :raises ContractBroken: a folder or a column is missing, or a file is neither CSV nor Parquet, or damaged.
        :raises SourceError: the files cannot be read.
        """
        async with aclosing(in_a_thread(self._pages(window.widened(back=self.entity.look_back)))) as pages:
            async for page in pages:
                yield page

    def split(self, body: bytes, window: Window) -> PageRows:
        """The raw rows of a page as JSON objects.

        :raises ValueError: the body is no page of files.
        """
        return PageRows(body, self._records, self._lines)

    def split_lines(self, row: bytes) -> list[bytes]:
        """The raw lines inside one raw row; one that cannot be taken apart has none."""
        if self.entity.child_field is None or row.startswith(b"["):
            return []
        return [bytes(line) for line in _ROWS.decode(_FIELDS.decode(row).get(self.entity.child_field, _NONE))]

    def required_fields(self) -> frozenset[str]:
        """None: a file that lacks a column is refused where it is opened."""
        return frozenset()

    def parse(self, page: Page, window: Window) -> Parsed:
        """Typed records of a page; rows and lines that do not fit are rejected one by one, with file and line."""
        return read_page(self.split(page.body, window), self._records, self._lines)

    def _pages(self, reach: Window) -> Iterator[Page]:
        def choose(file: StoredFile, rows: FileRows) -> list[int]:
            return [place for place in range(len(rows)) if self._belongs(rows, place, file, reach)]

        if self._lines is not None:
            rows_of_page = self._page_rows
            yield from joined_pages(self._storage, self._records, self._lines, rows=rows_of_page, choose=choose)
            return
        for file, chunk in chunks(self._storage, self._records, rows=self._page_rows):
            if places := choose(file, chunk):
                yield page_of([part_of(self.entity.name, file, chunk, places)])

    def _belongs(self, rows: FileRows, place: int, file: StoredFile, reach: Window) -> bool:
        if VERSION not in rows.names and reach.start <= file.modified_at < reach.end:
            return True
        try:
            values = rows.values(place)
            if VERSION in values:
                return reach.start <= self._records.version(values, written_at=file.modified_at) < reach.end
            happened_at = self._records.event_time(values)
        except RowRejected:
            return True
        return happened_at is not None and reach.start <= happened_at < reach.end
