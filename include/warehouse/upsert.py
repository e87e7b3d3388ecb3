"""UPSERT: COPY to a temporary table, deduplicate, merge, and account for every row, in one transaction.

What decides, for each key:

* the row with the newer `source_updated_at` wins;
* of two that claim the same instant, the one with the greater `content_digest`: an arbitrary rule, but
  one that gives the same table whatever the order of arrival;
* a correction, a row that validation lets in only now, wins over a different one of the same instant;
* an older row is `stale` and changes nothing; an identical one is `unchanged` and is not written;
* where a batch holds a key more than once, one row stands for it and the others are `duplicate`.

Lines of an order follow their order: they are replaced as a set when it changes and left alone otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, Cursor

from include.entities.entity import DIGEST, Entity
from include.entities.window import Window
from include.warehouse import merge_statements as statements
from include.warehouse.copy import ROWS_PER_CHUNK, copy_rows
from include.warehouse.receipts import Receipt, write_receipt


class SchemaMismatch(ValueError):
    """The rows do not have the entity's columns and types."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """How many rows validation kept back, for the account of the whole window."""

    rows: int = 0
    child_rows: int = 0


NOTHING_REJECTED = Rejected()
ANALYSED_FROM = 10_000
"""Temporary tables of so many rows are analysed: without statistics the planner has joined them row against row."""
NO_DETAILS: Mapping[str, Any] = MappingProxyType({})
Rows: TypeAlias = pa.Table | pa.RecordBatchReader


def upsert_rows(
    conn: Connection,
    entity: Entity,
    rows: Rows,
    *,
    window: Window,
    source: str,
    now: datetime,
    child_rows: Rows | None = None,
    rejected: Rejected = NOTHING_REJECTED,
    batch: str | None = None,
    is_correction: bool = False,
    details: Mapping[str, Any] = NO_DETAILS,
    step: str = "upsert",
) -> list[Receipt]:
    """Merge `rows` into the table of `entity`, and `child_rows` into its child's, in one transaction.

    One writer at a time per table: a second load of the same entity waits for the first. Rows are streamed: memory
    holds a few thousand of them.

    :param rows: one row per record, as `entity.arrow_schema`, times in UTC; a table, or a stream that is read once.
    :param source: the connection that the rows came through.
    :param now: written as `ingested_at`, UTC.
    :param child_rows: as the child's `arrow_schema`, with `parent_digest` in addition.
    :param rejected: rows that validation quarantined; they are part of what was received.
    :param is_correction: of two that claim the same instant the incoming one wins; an older one still loses.
    :param details: kept with the receipts.
    :param step: what the receipts call it; `upsert` says that the whole window was loaded.
    :returns: the closed receipts, already stored: the entity's, then its child's. `newest_version_at` in their details
        is the greatest `source_updated_at` that came in, for the watermark.
    :raises SchemaMismatch: a column is missing or of another type; nothing was written.
    """
    incoming = _Incoming(entity, rows)
    incoming_lines = None
    if entity.child is not None:
        incoming_lines = _Incoming(entity.child, _no_lines(entity.child) if child_rows is None else child_rows)
    parameters = {"source": source, "now": now}
    started = time.monotonic()
    receipts = []
    with conn.transaction(), conn.cursor() as cursor:
        lock_table(conn, entity)
        cursor.execute("SET LOCAL work_mem = '128MB'")
        counts, oldest_event_at = _merge(cursor, incoming, parameters, is_correction=is_correction)
        newest = incoming.newest_version_at
        accounts = [(incoming, rejected.rows, counts)]
        if incoming_lines is not None:
            was_folded, are_updated = counts["duplicate"] > 0, counts["updated"] > 0
            line_counts = _merge_lines(
                cursor, incoming_lines, entity, parameters, was_folded=was_folded, are_updated=are_updated
            )
            accounts.append((incoming_lines, rejected.child_rows, line_counts))
        for account, rejected_count, outcome in accounts:
            receipt = Receipt(
                step=step,
                entity=account.entity.name,
                window=window,
                received=account.row_count + rejected_count,
                quarantined=rejected_count,
                oldest_event_at=oldest_event_at,
                batch=batch,
                details={**details, **({"newest_version_at": newest.isoformat()} if newest else {})},
                seconds=time.monotonic() - started,
                **outcome,
            )
            write_receipt(conn, receipt, now=now)
            receipts.append(receipt)
    return receipts


def lock_table(conn: Connection, entity: Entity) -> None:
    """Wait until nobody else writes the entity's table; held until the transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (entity.table,))


class _Incoming:
    """Rows on their way into the incoming table of their entity; counted as they pass."""

    def __init__(self, entity: Entity, rows: Rows) -> None:
        _check_schema(entity, rows.schema)
        self.entity = entity
        self.row_count = 0
        self.newest_version_at: datetime | None = None
        self._rows = rows

    def copy(self, cursor: Cursor, columns: list[str]) -> None:
        """Send all of them."""
        table = statements.incoming_table(self.entity)
        schema = self._rows.schema
        batches = self._counted()
        json_columns = self.entity.json_columns
        copy_rows(cursor, table=table, columns=columns, schema=schema, batches=batches, json_columns=json_columns)

    def _counted(self) -> Iterator[pa.RecordBatch]:
        rows = self._rows
        for batch in rows.to_batches(max_chunksize=ROWS_PER_CHUNK) if isinstance(rows, pa.Table) else rows:
            self.row_count += batch.num_rows
            newest = pc.max(batch.column("source_updated_at")).as_py()
            if newest is not None and (self.newest_version_at is None or newest > self.newest_version_at):
                self.newest_version_at = newest
            yield batch


def _merge(
    cursor: Cursor, incoming: _Incoming, parameters: Mapping[str, Any], *, is_correction: bool
) -> tuple[dict[str, int], datetime | None]:
    entity = incoming.entity
    cursor.execute(statements.create_incoming(entity))
    incoming.copy(cursor, statements.columns_of(entity))
    if incoming.row_count >= ANALYSED_FROM:
        cursor.execute(statements.analyse_incoming(entity))
    duplicate = 0
    if _has_duplicates(cursor, entity):
        fold = statements.fold_superseded(entity)
        if fold is not None:
            cursor.execute(fold)
        duplicate = cursor.execute(statements.drop_superseded(entity)).rowcount
    _count_anew_if_taken_for_empty(cursor, entity)
    if entity.child is not None:
        cursor.execute(statements.create_changed(entity))
    merge = statements.merge(entity, is_correction=is_correction)
    inserted, updated, oldest = _one(cursor.execute(merge, parameters))
    if entity.child is not None and inserted + updated >= ANALYSED_FROM:
        cursor.execute(statements.analyse_changed(entity))
    left_alone = incoming.row_count - duplicate - inserted - updated
    stale = _one(cursor.execute(statements.count_stale(entity)))[0] if left_alone else 0
    counts = {
        "inserted": inserted,
        "updated": updated,
        "unchanged": left_alone - stale,
        "stale": stale,
        "duplicate": duplicate,
    }
    return counts, oldest


def _merge_lines(
    cursor: Cursor,
    incoming: _Incoming,
    parent: Entity,
    parameters: Mapping[str, Any],
    *,
    was_folded: bool,
    are_updated: bool,
) -> dict[str, int]:
    child = incoming.entity
    cursor.execute(statements.create_incoming(child, parent=parent))
    incoming.copy(cursor, [*statements.columns_of(child), "parent_digest"])
    if incoming.row_count >= ANALYSED_FROM:
        cursor.execute(statements.analyse_incoming(child))
    duplicate = 0
    if was_folded:
        duplicate += cursor.execute(statements.drop_lines_of_superseded_parents(child, parent)).rowcount
    if _has_duplicates(cursor, child):
        duplicate += cursor.execute(statements.drop_superseded(child)).rowcount
    _count_anew_if_taken_for_empty(cursor, child)
    inserted, updated = _one(cursor.execute(statements.merge_lines(child, parent), parameters))
    deleted = cursor.execute(statements.delete_vanished_lines(child, parent)).rowcount if are_updated else 0
    left_alone = incoming.row_count - duplicate - inserted - updated
    stale = _one(cursor.execute(statements.count_stale_lines(child, parent)))[0] if left_alone else 0
    return {
        "inserted": inserted,
        "updated": updated,
        "unchanged": left_alone - stale,
        "stale": stale,
        "duplicate": duplicate,
        "deleted": deleted,
    }


def _count_anew_if_taken_for_empty(cursor: Cursor, entity: Entity) -> None:
    """Where an ANALYZE ran while the first rows were not committed yet, Postgres takes a full table for an empty one.

    It then joins row against row, which has taken hours where seconds do.
    """
    if _one(cursor.execute(statements.is_taken_for_empty(entity)))[0]:
        cursor.execute(statements.analyse_stored(entity))


def _one(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row


def _has_duplicates(cursor: Cursor, entity: Entity) -> bool:
    return _one(cursor.execute(statements.has_duplicates(entity)))[0]


def _no_lines(child: Entity) -> pa.Table:
    return child.arrow_schema.append(pa.field("parent_digest", DIGEST)).empty_table()


def _check_schema(entity: Entity, schema: pa.Schema) -> None:
    wanted = entity.arrow_schema
    for column in wanted:
        if column.name not in schema.names:
            raise SchemaMismatch(f"{entity.name}: column {column.name} is missing. Nothing was written.")
        found = schema.field(column.name).type
        if found != column.type:
            raise SchemaMismatch(
                f"{entity.name}: column {column.name} is {found} and must be {column.type}. Nothing was written."
            )
