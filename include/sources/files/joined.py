"""Rows and their lines from folders of their own, brought together on pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from include.sources.files.chunks import chunks, part_of
from include.sources.files.page_rows import RowAt, lines_by_row
from include.sources.files.pages import Part, page_of, rows_in
from include.sources.files.rows import FileRows
from include.sources.files.spool import Spool
from include.sources.files.storage import Storage, StoredFile
from include.sources.files.values import Records
from include.sources.parsing import RowRejected
from include.sources.source import Page

Choice = Callable[[StoredFile, FileRows], list[int]]
LineFiles = list[tuple[StoredFile, FileRows]]


def joined_pages(storage: Storage, records: Records, lines: Records, *, rows: int, choose: Choice) -> Iterator[Page]:
    """Pages of rows with their lines; a line of which nobody can tell where it belongs comes on a page without rows.

    A line that belongs to no row of the window is on none of the pages. What is looked for lies on disk, not in
    memory.

    :param rows: rows on one page.
    :param choose: the places of a chunk's rows that are wanted.
    """
    with Spool() as spool:
        for file, chunk in chunks(storage, records, rows=rows):
            if places := choose(file, chunk):
                part, content = part_of(records.entity.name, file, chunk, places)
                spool.add_parents(part, content, _keys(chunk, places, records))
        files: LineFiles = []
        for file, chunk in chunks(storage, lines, rows=rows):
            if not files or files[-1][0] is not file:
                files.append((file, chunk))
            if places := _spooled(spool, len(files) - 1, chunk, records, lines):
                yield page_of([part_of(lines.entity.name, file, chunk, places)])
        for part, content in spool.parents():
            yield page_of([(part, content), *_parts_of_lines(spool, files, part, content, records, lines)])


def _keys(rows: FileRows, places: Sequence[int], records: Records) -> list[tuple[object, ...]]:
    """The keys of the rows that have a readable one."""
    keys = []
    for place in places:
        try:
            keys.append(records.key(rows.values(place)))
        except RowRejected:
            continue
    return keys


def _spooled(spool: Spool, file: int, chunk: FileRows, records: Records, lines: Records) -> list[int]:
    """Keep the lines that are wanted; gives the places of those of which nobody can tell where they belong."""
    lone, joinable = [], []
    for place in range(len(chunk)):
        try:
            key = lines.key(chunk.values(place), records.entity.key)
        except RowRejected:
            lone.append(place)
        else:
            joinable.append((key, chunk.numbers[place], chunk.raw(place)))
    spool.add_lines(file, joinable)
    return lone


def _parts_of_lines(
    spool: Spool, files: LineFiles, part: Part, content: bytes, records: Records, lines: Records
) -> Iterator[tuple[Part, bytes]]:
    own = rows_in(part, content)
    rows = [RowAt(part, own, place) for place in range(len(own))]
    found = spool.lines(_keys(own, range(len(own)), records))
    for number, group in groupby(found, key=lambda line: line[0]):
        file, form = files[number]
        entries = list(group)
        some = form.assembled([raw for _, _, raw in entries], [number for _, number, _ in entries])
        whole, _ = part_of(lines.entity.name, file, some, [])
        candidates = [RowAt(whole, some, place) for place in range(len(some))]
        wanted = {line.place for each in lines_by_row(rows, candidates, records, lines) for line in each}
        if wanted:
            yield part_of(lines.entity.name, file, some, sorted(wanted))
