"""Validate: raw pages to typed rows; what does not fit goes to quarantine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet
from psycopg import Connection

from include.entities.entity import DIGEST, Entity
from include.entities.window import Window
from include.ingestion.errors import NotValidated
from include.ingestion.judge import judge_page
from include.ingestion.landing import Landing
from include.ingestion.quality import check_expectations, keep_results, refuse_critical
from include.ingestion.quarantine import Origin, PostgresQuarantine
from include.sources.source import Rejection, Source
from include.warehouse.receipts import Receipt, write_receipt

_VERDICT = "verdict.json"


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
    landed = landing.manifest(batch).rows
    landing.remove(batch, _VERDICT)
    rejections = _write_rows(source, window, batch=batch, landing=landing)
    rejected = {each.name: sum(r.entity == each.name for _, r in rejections) for each in entities}
    results, receipts = [], []
    for each in entities:
        rows = read_rows(landing, batch, each)
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
    with landing.writing(batch, _VERDICT) as verdict:
        verdict.write(msgspec.json.encode(Verdict(rejected)))
    return receipts


def read_rows(landing: Landing, batch: str, entity: Entity) -> pa.Table:
    """The validated rows of an entity in a batch."""
    with landing.reading(batch, f"{entity.name}.parquet") as source, parquet.ParquetFile(source) as file:
        return file.read()


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


def _write_rows(source: Source, window: Window, *, batch: str, landing: Landing) -> list[tuple[str, Rejection]]:
    """Judge page by page, so that memory holds one page at a time; returns what was rejected."""
    entity = source.entity
    rejections: list[tuple[str, Rejection]] = []
    with ExitStack() as files:
        rows = files.enter_context(_parquet(landing, batch, entity, entity.arrow_schema))
        if entity.child is not None:
            schema = entity.child.arrow_schema.append(pa.field("parent_digest", DIGEST))
            lines = files.enter_context(_parquet(landing, batch, entity.child, schema))
        for file, page in landing.pages(batch):
            judged = judge_page(source, page, window)
            rows.write_table(judged.rows)
            if judged.lines is not None:
                lines.write_table(judged.lines)
            rejections += [(file, rejection) for rejection in judged.rejections]
    return rejections


@contextmanager
def _parquet(landing: Landing, batch: str, entity: Entity, schema: pa.Schema) -> Iterator[parquet.ParquetWriter]:
    """A Parquet file that appears once it is complete."""
    with (
        landing.writing(batch, f"{entity.name}.parquet") as file,
        parquet.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        yield writer
