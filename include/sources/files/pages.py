"""The body of a page: one line of JSON that says what it holds, and behind it the parts, each a file of its own.

A part is some rows of one file as raw bytes: CSV as its header and whole rows, Parquet as a small Parquet file. An
order and its lines lie on one page, in parts of their own.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet

from include.sources.files.rows import FileRows, ParquetRows, csv_rows
from include.sources.source import Page


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands in the first line of a page about one of its parts.

    :param entity: whose rows they are.
    :param file: where they come from, relative to the connection's folder.
    :param modified_at: when that file was last written, UTC.
    :param runs: the numbers of the rows there: first number and how many follow one another, again and again.
    :param size: bytes of the part.
    :param is_day_first: how days and months are ordered in the file's dates, where that is not said otherwise.
    """

    entity: str
    file: str
    format: Literal["csv", "parquet"]
    modified_at: datetime
    runs: tuple[tuple[int, int], ...]
    size: int
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    is_day_first: bool | None = None

    @property
    def numbers(self) -> list[int]:
        """The rows' numbers in the file."""
        return list(chain.from_iterable(range(first, first + count) for first, count in self.runs))

    def place(self, number: int) -> str:
        """A row for people: file and line."""
        return f"{self.file} {'line' if self.format == 'csv' else 'row'} {number}"


class Index(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first line of a page.

    :param names: names of products that the rows leave out (Online Retail).
    """

    parts: tuple[Part, ...]
    names: dict[str, str] = {}


_INDEX = msgspec.json.Decoder(Index)


def runs_of(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as runs."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return tuple(runs)


def page_of(parts: Sequence[tuple[Part, bytes]], *, names: dict[str, str] | None = None) -> Page:
    """A page of parts and their bytes."""
    index = msgspec.json.encode(Index(tuple(part for part, _ in parts), names or {}))
    return Page(
        body=b"".join([index, b"\n", *(content for _, content in parts)]),
        request=", ".join(_request(part) for part, _ in parts),
        received_at=datetime.now(UTC),
    )


def parts_of(body: bytes) -> tuple[Index, list[bytes]]:
    """What a page holds.

    :raises ValueError: the body is none that `page_of` makes.
    """
    line, _, rest = body.partition(b"\n")
    index = _INDEX.decode(line)
    if sum(part.size for part in index.parts) != len(rest) or any(part.size < 0 for part in index.parts):
        raise ValueError(f"the page's parts have {len(rest)} bytes, not those that its first line says")
    contents, start = [], 0
    for part in index.parts:
        contents.append(rest[start : start + part.size])
        start += part.size
    return index, contents


def rows_in(part: Part, content: bytes) -> FileRows:
    """The rows of a part.

    :raises ValueError: its bytes are not what the first line says.
    """
    if any(count < 0 or count > len(content) for _, count in part.runs):
        raise ValueError("the page's first line numbers more rows than the page can hold")
    if part.format == "csv":
        return csv_rows(content, part.numbers, encoding=part.encoding)
    try:
        table = parquet.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"a part of the page is no Parquet file ({error})") from error
    if table.num_rows != len(part.numbers):
        raise ValueError(f"the page holds {table.num_rows} rows where {len(part.numbers)} were written")
    return ParquetRows(table, part.numbers)


def _request(part: Part) -> str:
    if not part.runs:
        return part.file
    last = sum(part.runs[-1]) - 1
    return f"{part.file} {'lines' if part.format == 'csv' else 'rows'} {part.runs[0][0]}-{last}"
