"""The files of one entity in chunks of rows, and the parts of pages that are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from include.sources.errors import ContractBroken
from include.sources.files.csv_records import NotCsv
from include.sources.files.pages import Part, runs_of
from include.sources.files.rows import FileRows, csv_chunks, parquet_chunks
from include.sources.files.storage import Storage, StoredFile
from include.sources.files.values import Records


def chunks(storage: Storage, records: Records, *, rows: int) -> Iterator[tuple[StoredFile, FileRows]]:
    """The rows of every file of an entity, at most so many at a time; of every file at least an empty chunk.

    :raises ContractBroken: a file lacks a column that must be there, or is not what its name says.
    :raises SourceError: the files cannot be read.
    """
    for file in storage.files(records.entity.name):
        with storage.open(file) as stream:
            try:
                found = (csv_chunks if file.format == "csv" else parquet_chunks)(stream, rows=rows)
                for chunk in found:
                    _refuse_missing(chunk, file, records, connection=storage.connection)
                    yield file, chunk
            except NotCsv as error:
                raise ContractBroken(
                    f"{file.name} of the connection `{storage.connection}` is no CSV: {error}. Nothing was loaded. "
                    "Write it again, then clear this task."
                ) from error
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:  # the names of its columns may be no text
                raise ContractBroken(
                    f"{file.name} of the connection `{storage.connection}` is no Parquet file, or a damaged one "
                    f"({str(error).splitlines()[0]}). Nothing was loaded. Write it again, then clear this task."
                ) from error


def part_of(entity: str, file: StoredFile, rows: FileRows, places: Sequence[int]) -> tuple[Part, bytes]:
    """Some rows of a file as a part of a page."""
    content = rows.content(places)
    part = Part(
        entity=entity,
        file=file.name,
        format=file.format,
        modified_at=file.modified_at,
        runs=runs_of([rows.numbers[place] for place in places]),
        size=len(content),
    )
    return part, content


def _refuse_missing(rows: FileRows, file: StoredFile, records: Records, *, connection: str) -> None:
    missing = [name for name in records.required if name not in rows.names]
    if missing:
        raise ContractBroken(
            f"{file.name} of the connection `{connection}` lacks {', '.join(missing)}, without which no row of "
            f"{records.entity.name} can be; it has {', '.join(rows.names)}. Nothing was loaded. Name the columns as "
            f"the fields in include/entities/, then clear this task."
        )
