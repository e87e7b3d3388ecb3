"""UPSERT: COPY to a temporary table, deduplicate, merge, and account for every row, in one transaction.

What decides, for each key:

* the row with the newer `source_updated_at` wins;
* of two that claim the same instant, the one with the greater `content_digest`: an arbitrary rule, but
  one that gives the same table whatever the order of arrival;
* an older row is `stale` and changes nothing; an identical one is `unchanged` and is not written;
* where a batch holds a key more than once, one row stands for it and the others are `duplicate`.

Lines of an order follow their order: they are replaced as a set when it changes and left alone otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from psycopg import Connection, Cursor

from include.entities.entity import DIGEST, Entity
from include.entities.window import Window
from include.warehouse import merge_statements as statements
from include.warehouse.copy import copy_rows
from include.warehouse.receipts import Receipt, write_receipt


class SchemaMismatch(ValueError):
    """The rows do not have the entity's columns and types."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """How many rows validation kept back, for the account of the whole window."""

    rows: int = 0
    child_rows: int = 0


NOTHING_REJECTED = Rejected()


def upsert_rows(
    conn: Connection,
    entity: Entity,
    rows: pa.Table,
    *,
    window: Window,
    source: str,
    now: datetime,
    child_rows: pa.Table | None = None,
    rejected: Rejected = NOTHING_REJECTED,
    batch: str | None = None,
) -> list[Receipt]:
    """Merge `rows` into the table of `entity`, and `child_rows` into its child's, in one transaction.

    One writer at a time per table: a second load of the same entity waits for the first.

    :param rows: one row per record, as `entity.arrow_schema`, times in UTC.
    :param source: the connection that the rows came through.
    :param now: written as `ingested_at`, UTC.
    :param child_rows: as the child's `arrow_schema`, with `parent_digest` in addition.
    :param rejected: rows that validation quarantined; they are part of what was received.
    :returns: the closed receipts, already stored: the entity's, then its child's. `newest_version_at` in their details
        is the greatest `source_updated_at` that came in, for the watermark.
    :raises SchemaMismatch: a column is missing or of another type; nothing was written.
    """
    _check_schema(entity, rows)
    parameters = {"source": source, "now": now}
    started = time.monotonic()
    receipts = []
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (entity.table,))
        cursor.execute("SET LOCAL work_mem = '128MB'")
        counts, oldest_event_at = _merge(cursor, entity, rows, parameters)
        newest_version_at = _one(cursor.execute(statements.newest_version(entity)))[0]
        accounts = [(entity, rows.num_rows, rejected.rows, counts)]
        if entity.child is not None:
            lines = child_rows if child_rows is not None else _no_lines(entity.child)
            was_folded = counts["duplicate"] > 0
            line_counts = _merge_lines(cursor, entity.child, entity, lines, parameters, was_folded=was_folded)
            accounts.append((entity.child, lines.num_rows, rejected.child_rows, line_counts))
        for account, row_count, rejected_count, outcome in accounts:
            receipt = Receipt(
                step="upsert",
                entity=account.name,
                window=window,
                received=row_count + rejected_count,
                quarantined=rejected_count,
                oldest_event_at=oldest_event_at,
                batch=batch,
                details={"newest_version_at": newest_version_at.isoformat()} if newest_version_at else {},
                seconds=time.monotonic() - started,
                **outcome,  # type: ignore[arg-type]  # counts only
            )
            write_receipt(conn, receipt, now=now)
            receipts.append(receipt)
    return receipts


def _merge(
    cursor: Cursor, entity: Entity, rows: pa.Table, parameters: Mapping[str, Any]
) -> tuple[dict[str, int], datetime | None]:
    cursor.execute(statements.create_incoming(entity))
    _copy(cursor, entity, rows, statements.columns_of(entity))
    duplicate = 0
    if _has_duplicates(rows, entity):
        fold = statements.fold_superseded(entity)
        if fold is not None:
            cursor.execute(fold)
        duplicate = cursor.execute(statements.drop_superseded(entity)).rowcount
    if entity.child is not None:
        cursor.execute(statements.create_changed(entity))
    inserted, updated, oldest = _one(cursor.execute(statements.merge(entity), parameters))
    left_alone = rows.num_rows - duplicate - inserted - updated
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
    cursor: Cursor, child: Entity, parent: Entity, lines: pa.Table, parameters: Mapping[str, Any], *, was_folded: bool
) -> dict[str, int]:
    cursor.execute(statements.create_incoming(child, parent=parent))
    _copy(cursor, child, lines, [*statements.columns_of(child), "parent_digest"])
    duplicate = 0
    if was_folded:
        duplicate += cursor.execute(statements.drop_lines_of_superseded_parents(child, parent)).rowcount
    if _has_duplicates(lines, child):
        duplicate += cursor.execute(statements.drop_superseded(child)).rowcount
    inserted, updated = _one(cursor.execute(statements.merge_lines(child, parent), parameters))
    deleted = cursor.execute(statements.delete_vanished_lines(child, parent)).rowcount
    left_alone = lines.num_rows - duplicate - inserted - updated
    stale = _one(cursor.execute(statements.count_stale_lines(child, parent)))[0] if left_alone else 0
    return {
        "inserted": inserted,
        "updated": updated,
        "unchanged": left_alone - stale,
        "stale": stale,
        "duplicate": duplicate,
        "deleted": deleted,
    }


def _copy(cursor: Cursor, entity: Entity, rows: pa.Table, columns: list[str]) -> None:
    table = statements.incoming_table(entity)
    copy_rows(cursor, table=table, columns=columns, rows=rows, json_columns=entity.json_columns)


def _one(cursor: Cursor) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return row


def _has_duplicates(rows: pa.Table, entity: Entity) -> bool:
    return rows.group_by(list(entity.key)).aggregate([]).num_rows < rows.num_rows


def _no_lines(child: Entity) -> pa.Table:
    return child.arrow_schema.append(pa.field("parent_digest", DIGEST)).empty_table()


def _check_schema(entity: Entity, rows: pa.Table) -> None:
    wanted = entity.arrow_schema
    for column in wanted:
        if column.name not in rows.column_names:
            raise SchemaMismatch(f"{entity.name}: column {column.name} is missing. Nothing was written.")
        found = rows.schema.field(column.name).type
        if found != column.type:
            raise SchemaMismatch(
                f"{entity.name}: column {column.name} is {found} and must be {column.type}. Nothing was written."
            )
