"""Rows of one file, as they stand there: taken apart for reading, put together again for a page, without loss."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, BinaryIO, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet

from include.sources.files.csv_records import CsvForm, Record, read_form, records
from include.sources.parsing import RowRejected

CHUNK_BYTES = 4 * 1024 * 1024
WHOLE_ROW = "row"
WHOLE_PERSONAL_ROW = "personal_row"
"""Under these names a row that cannot be taken apart stands in a payload: nobody knows which of it is personal."""


class FileRows(Protocol):
    """Some rows of one file, in its order.

    :param names: the file's columns.
    :param numbers: of each row the number of its line, the header being line 1; in Parquet the number of the row.
    """

    names: tuple[str, ...]
    numbers: Sequence[int]

    def __len__(self) -> int: ...

    def values(self, place: int) -> Mapping[str, Any]:
        """The cells of a row by column.

        :raises RowRejected: the row cannot be taken apart.
        """
        ...

    def text(self, place: int) -> str:
        """A row that cannot be taken apart, as readable as it may be."""
        ...

    def content(self, places: Sequence[int]) -> bytes:
        """A file of these rows alone."""
        ...

    def raw(self, place: int) -> bytes:
        """One row, for `assembled`."""
        ...

    def assembled(self, raw: Sequence[bytes], numbers: Sequence[int]) -> FileRows:
        """Raw rows of this file put together again."""
        ...


class CsvRows:
    """Rows of a CSV file."""

    def __init__(self, form: CsvForm, found: Sequence[Record]) -> None:
        self.names = form.names
        self.numbers: Sequence[int] = [record.line for record in found]
        self._form = form
        self._raw = [record.raw for record in found]

    def __len__(self) -> int:
        return len(self._raw)

    def values(self, place: int) -> Mapping[str, Any]:
        return dict(zip(self.names, self._form.cells(self._raw[place]), strict=True))

    def text(self, place: int) -> str:
        return self._raw[place].decode(self._form.encoding, errors="backslashreplace").rstrip("\r\n")

    def content(self, places: Sequence[int]) -> bytes:
        return csv_content(self._form.header, [self._raw[place] for place in places])

    def raw(self, place: int) -> bytes:
        return self._raw[place]

    def assembled(self, raw: Sequence[bytes], numbers: Sequence[int]) -> CsvRows:
        return CsvRows(self._form, [Record(number, each, False) for number, each in zip(numbers, raw, strict=True)])


class ParquetRows:
    """Rows of a Parquet file, in the types that it has."""

    def __init__(self, table: pa.Table, numbers: Sequence[int]) -> None:
        self.names = tuple(table.column_names)
        self.numbers = numbers
        self.table = table

    def __len__(self) -> int:
        return self.table.num_rows

    def values(self, place: int) -> Mapping[str, Any]:
        row = {name: column[place] for name, column in self._columns.items()}
        for name, value in row.items():
            if isinstance(value, _Unreadable):
                raise RowRejected("value", f"{name} holds what cannot be read ({value})")
        return row

    def text(self, place: int) -> str:
        return str({name: str(column[place]) for name, column in self._columns.items()})

    def content(self, places: Sequence[int]) -> bytes:
        return parquet_content(self.table.take(pa.array(places, pa.int64())))

    def raw(self, place: int) -> bytes:
        serialized: bytes = self._batch.slice(place, 1).serialize().to_pybytes()
        return serialized

    def assembled(self, raw: Sequence[bytes], numbers: Sequence[int]) -> ParquetRows:
        schema = self.table.schema
        batches = [pa.ipc.read_record_batch(pa.py_buffer(each), schema) for each in raw]
        return ParquetRows(pa.Table.from_batches(batches, schema).combine_chunks(), numbers)

    @cached_property
    def _batch(self) -> pa.RecordBatch:
        return self.table.combine_chunks().to_batches()[0]

    @cached_property
    def _columns(self) -> dict[str, list[Any]]:
        return {name: _python_values(self.table[name]) for name in self.names}


class _Unreadable(str):
    """Why a value of a Parquet column has no Python form."""


_NO_PYTHON = (ValueError, OverflowError, KeyError, pa.ArrowException)
"""What is raised for such a value; KeyError for a map with a key that stands in it twice."""


def _python_values(column: pa.ChunkedArray) -> list[Any]:
    try:
        return [_plain(value) for value in column.to_pylist(maps_as_pydicts="strict")]
    except _NO_PYTHON:  # found again, and named, value by value
        return [_python_value(each) for each in column]


def _python_value(value: pa.Scalar) -> Any:
    try:
        return _plain(value.as_py(maps_as_pydicts="strict"))
    except _NO_PYTHON as error:
        return _Unreadable(error)


def _plain(value: Any) -> Any:
    """A time with nanoseconds comes as pandas' own kind of datetime."""
    return value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value


def csv_content(header: bytes, raw: Sequence[bytes]) -> bytes:
    """A CSV file of a header and raw rows; the last row of a file may lack its line's end."""
    return b"".join([header, b"\n", *(each if each.endswith(b"\n") else each + b"\n" for each in raw)])


def parquet_content(table: pa.Table) -> bytes:
    """A small Parquet file. It is not compressed: landing does that."""
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="none")
    return sink.getvalue()


def csv_rows(content: bytes, numbers: Sequence[int], *, encoding: str = "utf-8") -> CsvRows:
    """The rows of a CSV file made by `content`.

    :param numbers: the lines they had in the file that they come from.
    :raises ValueError: it is none.
    """
    return CsvRows(*csv_records(content, numbers, encoding=encoding))


def csv_records(content: bytes, numbers: Sequence[int], *, encoding: str) -> tuple[CsvForm, list[Record]]:
    """As `csv_rows`, in raw.

    :raises ValueError: it is none.
    """
    stream = io.BytesIO(content)
    form = read_form(stream, encoding=encoding)
    found = list(records(stream, form))
    if len(found) != len(numbers):
        raise ValueError(f"the page holds {len(found)} rows where {len(numbers)} were written")
    return form, [Record(number, each.raw, each.is_open) for number, each in zip(numbers, found, strict=True)]


def csv_chunks(stream: BinaryIO, *, rows: int) -> Iterator[CsvRows]:
    """A CSV file in chunks of at most so many rows, or some megabytes; at least one chunk, for its header.

    A row with an open quote ends its chunk, so that it cannot swallow a row of the page that it gets into.

    :raises NotCsv: it has no header, or a line that no row can be.
    """
    form = read_form(stream)
    chunk: list[Record] = []
    size = 0
    yield CsvRows(form, [])
    for record in records(stream, form):
        chunk.append(record)
        size += len(record.raw)
        if len(chunk) >= rows or size >= CHUNK_BYTES or record.is_open:
            yield CsvRows(form, chunk)
            chunk, size = [], 0
    yield CsvRows(form, chunk)


def parquet_chunks(stream: BinaryIO, *, rows: int) -> Iterator[ParquetRows]:
    """A Parquet file in chunks of at most so many rows; at least one chunk, for its columns.

    :raises pyarrow.ArrowException: it is none, or damaged.
    """
    with parquet.ParquetFile(stream) as file:
        yield ParquetRows(_undictionaried(file.schema_arrow.empty_table()), [])
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        widest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
        first, last = 1, file.metadata.num_rows
        for batch in file.iter_batches(batch_size=max(1, min(rows, CHUNK_BYTES // max(widest, 1)))):
            numbers = range(first, first + batch.num_rows)
            first += batch.num_rows
            yield ParquetRows(_undictionaried(pa.Table.from_batches([batch])), numbers)
        if first != last + 1:  # a column that ends too early ends the reading
            raise pa.ArrowInvalid(f"it has {first - 1} of the {last} rows that it should have")


def _undictionaried(table: pa.Table) -> pa.Table:
    """The same values with every one in its place, so that each row stands for itself."""
    for number, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(field.type.value_type))
    return table


def payload_value(value: Any) -> Any:
    """A value for a JSON payload: what JSON has no form for, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(name): payload_value(part) for name, part in value.items()}
    if isinstance(value, list):
        return [payload_value(part) for part in value]
    if value is None or isinstance(value, str | int | float | datetime):
        return value
    try:
        return msgspec.to_builtins(value, str_keys=True)
    except TypeError:
        return str(value)
