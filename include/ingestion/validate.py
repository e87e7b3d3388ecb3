"""Validate: raw pages to typed rows; what does not fit goes to quarantine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet
from psycopg import Connection

from include.entities.entity import DIGEST, Entity
from include.entities.window import Window
from include.ingestion.errors import NotValidated
from include.ingestion.judge import judge_page
from include.ingestion.landing import Landing, writable
from include.ingestion.quality import check_expectations, keep_results, refuse_critical
from include.ingestion.quarantine import Origin, PostgresQuarantine
from include.sources.source import Rejection, Source
from include.warehouse.receipts import Receipt, write_receipt


class Verdict(msgspec.Struct, frozen=True):
    """How many rows validation kept back, written beside the validated rows."""

    rejected: dict[str, int]


def validate(
    conn: Connection, source: Source, window: Window, *, batch: str, landing: Landing, now: datetime
) -> list[Receipt]:
    """Turn a landed batch into typed rows beside it, quarantine what does not fit, check the expectations.

    Rejected rows, results and receipts are written in one transaction, also when an expectation fails.

    :returns: the receipts, already stored: the entity's, then its child's.
    :raises ReceiptDoesNotClose: more or fewer rows came out than were landed.
    :raises LandingDamaged: the batch is not what was landed.
    :raises LandingNotWritable: the validated rows cannot be written beside it.
    :raises QualityFailed: a critical expectation does not hold; the upsert must not run.
    """
    started = time.monotonic()
    entity = source.entity
    entities = [entity] if entity.child is None else [entity, entity.child]
    folder = landing.folder(batch)
    landed = landing.manifest(batch).rows
    _verdict(folder).unlink(missing_ok=True)
    rejections = _write_rows(source, window, batch=batch, landing=landing)
    rejected = {each.name: sum(r.entity == each.name for _, r in rejections) for each in entities}
    results, receipts = [], []
    for each in entities:
        rows = read_rows(folder, each)
        results += check_expectations(each, rows)
        receipts.append(
            Receipt(
                step="validate",
                entity=each.name,
                window=window,
                received=landed if each is entity else rows.num_rows + rejected[each.name],
                passed=rows.num_rows,
                quarantined=rejected[each.name],
                batch=batch,
                seconds=time.monotonic() - started,
            )
        )
    with conn.transaction():
        origin = Origin(source=source.name, batch=batch, window=window, run="", now=now)
        with PostgresQuarantine(conn).intake(origin) as intake:
            for file, rejection in rejections:
                intake.add(file, [rejection])
        keep_results(conn, results, batch=batch, window=window, now=now)
        for receipt in receipts:
            write_receipt(conn, receipt, now=now)
    refuse_critical(results, window=window)
    _verdict(folder).write_bytes(msgspec.json.encode(Verdict(rejected)))
    return receipts


def read_rows(folder: Path, entity: Entity) -> pa.Table:
    """The validated rows of an entity in a batch's folder."""
    with parquet.ParquetFile(folder / f"{entity.name}.parquet") as file:
        return file.read()


def read_verdict(folder: Path, *, batch: str) -> Verdict:
    """What validation said of a batch.

    :raises NotValidated: it has not passed validation.
    """
    try:
        return msgspec.json.decode(_verdict(folder).read_bytes(), type=Verdict)
    except FileNotFoundError as error:
        raise NotValidated(
            f"The batch {batch} has not passed validation, so nothing was loaded. Clear the validate task; its log "
            "says what does not hold."
        ) from error


def _verdict(folder: Path) -> Path:
    return folder / "verdict.json"


def _write_rows(source: Source, window: Window, *, batch: str, landing: Landing) -> list[tuple[str, Rejection]]:
    """Judge page by page, so that memory holds one page at a time; returns what was rejected."""
    entity, folder = source.entity, landing.folder(batch)
    rejections: list[tuple[str, Rejection]] = []
    with ExitStack() as files:
        rows = files.enter_context(_parquet(folder / f"{entity.name}.parquet", entity.arrow_schema))
        if entity.child is not None:
            schema = entity.child.arrow_schema.append(pa.field("parent_digest", DIGEST))
            lines = files.enter_context(_parquet(folder / f"{entity.child.name}.parquet", schema))
        for file, page in landing.pages(batch):
            judged = judge_page(source, page, window)
            rows.write_table(judged.rows)
            if judged.lines is not None:
                lines.write_table(judged.lines)
            rejections += [(file, rejection) for rejection in judged.rejections]
    return rejections


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[parquet.ParquetWriter]:
    """A Parquet file that appears once it is complete."""
    partial = path.with_suffix(".partial")
    with writable(path):
        with parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
            yield writer
        partial.rename(path)
