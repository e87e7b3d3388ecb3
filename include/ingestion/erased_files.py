"""A page of files (CSV or Parquet rows) without a customer's personal data; everybody else's rows stay."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from include.ingestion.erased_rows import erased_row
from include.ingestion.person import PERSONAL, Person
from include.sources.files.csv_records import CsvForm
from include.sources.files.pages import Part, page_of, parts_of, rows_in
from include.sources.files.rows import ParquetRows, csv_content, csv_records, parquet_content
from include.sources.parsing import RowRejected

_BEGINS = b'{"parts":'


def is_page_of_files(body: bytes) -> bool:
    """Whether a landed page holds rows of files and not an API's answer."""
    return body.startswith(_BEGINS)


def rows_of_files(body: bytes, entity: str) -> Iterator[Mapping[str, Any]]:
    """The rows of an entity on such a page, as far as they can be taken apart.

    :raises ValueError: it is no such page.
    """
    for part, content in zip(*_parts(body), strict=True):
        if part.entity == entity:
            rows = rows_in(part, content)
            for place in range(len(rows)):
                try:
                    yield rows.values(place)
                except RowRejected:
                    continue


def files_without_person(body: bytes, person: Person) -> bytes:
    """Such a page without the personal data of a customer. Doing it again changes nothing more.

    :raises ValueError: it is no such page.
    """
    index, contents = parts_of(body)
    changed = []
    for part, content in zip(index.parts, contents, strict=True):
        erased = (_csv if part.format == "csv" else _parquet)(part, content, person)
        changed.append((msgspec.structs.replace(part, size=len(erased)), erased))
    if [content for _, content in changed] == contents:
        return body
    return page_of(changed, names=index.names).body


def _parts(body: bytes) -> tuple[tuple[Part, ...], list[bytes]]:
    index, contents = parts_of(body)
    return index.parts, contents


def _csv(part: Part, content: bytes, person: Person) -> bytes:
    form, found = csv_records(content, part.numbers, encoding=part.encoding)
    raw = [record.raw for record in found]
    erased = [_csv_row(each, form, part.entity, person) for each in raw]
    return content if erased == raw else csv_content(form.header, erased)


def _csv_row(raw: bytes, form: CsvForm, entity: str, person: Person) -> bytes:
    try:
        cells = form.cells(raw)
    except RowRejected:
        text = raw.decode(form.encoding, errors="surrogateescape")
        erased = person.without_names(text) if person.is_named_in(text) else text
        return erased.encode(form.encoding, errors="surrogateescape")
    row = dict(zip(form.names, cells, strict=True))
    after = [_cell(name, cell, entity, person, is_theirs=person.owns(entity, row)) or "" for name, cell in row.items()]
    if after == cells:
        return raw
    line = io.StringIO()
    csv.writer(line, delimiter=form.delimiter, lineterminator="\r\n").writerow(after)
    end = raw[len(raw.rstrip(b"\r\n")) :]
    return line.getvalue().removesuffix("\r\n").encode(form.encoding) + end


def _parquet(part: Part, content: bytes, person: Person) -> bytes:
    rows = rows_in(part, content)
    assert isinstance(rows, ParquetRows)
    table = rows.table
    after = [_parquet_row(rows, place, part.entity, person) for place in range(len(rows))]
    for number, name in enumerate(rows.names):
        column = table.column(name)
        changed = {place: row[name] for place, row in enumerate(after) if name in row}
        if changed:
            is_changed = pa.array([place in changed for place in range(len(rows))])
            values = pa.array([changed.get(place) for place in range(len(rows))], column.type)
            table = table.set_column(number, table.schema.field(name), pc.if_else(is_changed, values, column))
    return content if table is rows.table else parquet_content(table)


def _parquet_row(rows: ParquetRows, place: int, entity: str, person: Person) -> dict[str, Any]:
    """The cells that change."""
    try:
        row = rows.values(place)
    except RowRejected:
        return {}
    is_theirs = person.owns(entity, row)
    after = {name: _cell(name, value, entity, person, is_theirs=is_theirs) for name, value in row.items()}
    return {name: value for name, value in after.items() if value != row[name]}


def _cell(name: str, value: Any, entity: str, person: Person, *, is_theirs: bool) -> Any:
    if is_theirs and name in PERSONAL:
        return None
    if not isinstance(value, str):
        return value
    if value[:1] in ("{", "["):
        return erased_row(value.encode(), entity, person, is_theirs=is_theirs).decode()
    return person.without_traces(name, value) if is_theirs else person.without_emails(value)
