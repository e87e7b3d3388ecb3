"""What validation leaves beside a landed batch: the rows that it let in, and how many it kept back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet

from include.entities.entity import DIGEST, Entity
from include.ingestion.ahead import read_ahead
from include.ingestion.errors import NotValidated
from include.ingestion.judge import JudgedPages
from include.ingestion.landing import Landing

_VERDICT = "verdict.json"
_ROWS_AHEAD = 32_768
"""Decoded while as many are worked on."""


class Verdict(msgspec.Struct, frozen=True):
    """How many rows of each entity validation let in and kept back.

    :param reasons: those kept back, by entity and rule.
    """

    passed: Mapping[str, int]
    rejected: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]] = {}


class RowWriter:
    """Takes judged pages and writes their rows in a thread; memory holds the pages being written."""

    def __init__(self, thread: Executor, rows: parquet.ParquetWriter, lines: parquet.ParquetWriter | None) -> None:
        self._thread, self._rows, self._lines = thread, rows, lines
        self._under_way: Future[None] | None = None

    def write(self, judged: JudgedPages) -> None:
        """Append what the pages let in.

        :raises LandingNotWritable: the pages before them could not be written.
        """
        self.finish()
        self._under_way = self._thread.submit(self._write, judged)

    def finish(self) -> None:
        """Wait until what was given is written."""
        if self._under_way is not None:
            self._under_way.result()

    def _write(self, judged: JudgedPages) -> None:
        self._rows.write_table(judged.rows)
        if self._lines is not None and judged.lines is not None:
            self._lines.write_table(judged.lines)


@contextmanager
def writing_rows(landing: Landing, batch: str, entity: Entity) -> Iterator[RowWriter]:
    """The validated rows of a batch; they appear once the block has ended well."""
    with ExitStack() as files:

        def writer(name: str, schema: pa.Schema) -> parquet.ParquetWriter:
            file = files.enter_context(landing.writing(batch, f"{name}.parquet"))
            repeated = [field.name for field in schema if pa.types.is_string(field.type)]
            options = {"compression": "lz4", "use_dictionary": repeated, "write_statistics": False}
            return files.enter_context(parquet.ParquetWriter(file, schema, **options))

        rows = writer(entity.name, entity.arrow_schema)
        lines = writer(entity.child.name, lines_schema(entity.child)) if entity.child else None
        with ThreadPoolExecutor(1, thread_name_prefix="write_rows") as thread:
            row_writer = RowWriter(thread, rows, lines)
            yield row_writer
            row_writer.finish()


@contextmanager
def reading_rows(
    landing: Landing, batch: str, entity: Entity, *, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatchReader]:
    """The validated rows of an entity in a batch, streamed; the next are decoded while some are worked on.

    :param columns: those that are wanted, all if not given.
    """
    with landing.reading(batch, f"{entity.name}.parquet") as raw, parquet.ParquetFile(raw) as file:
        schema = file.schema_arrow
        if columns is not None:
            schema = pa.schema([field for field in schema if field.name in columns])
        batches = file.iter_batches(batch_size=_ROWS_AHEAD, columns=None if columns is None else list(columns))
        with closing(read_ahead(batches, count=1)) as ahead:
            yield pa.RecordBatchReader.from_batches(schema, ahead)


def lines_schema(child: Entity) -> pa.Schema:
    """The columns of validated lines: those of the entity, and the digest of the parent that they came with."""
    return child.arrow_schema.append(pa.field("parent_digest", DIGEST))


def write_verdict(landing: Landing, batch: str, verdict: Verdict) -> None:
    """Say that a batch has passed validation."""
    with landing.writing(batch, _VERDICT) as file:
        file.write(msgspec.json.encode(verdict))


def read_verdict(landing: Landing, batch: str) -> Verdict:
    """What validation said of a batch.

    :raises NotValidated: it has not passed validation.
    """
    try:
        with landing.reading(batch, _VERDICT) as file:
            return msgspec.json.decode(file.read(), type=Verdict)
    except FileNotFoundError as error:
        raise NotValidated(
            f"The batch {batch} has not passed validation, so nothing was loaded. Clear the validate task; its log "
            "says what does not hold."
        ) from error
