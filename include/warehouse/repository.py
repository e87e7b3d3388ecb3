"""Where records are kept, as the service that loads them sees it: in Postgres, or in memory for tests."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from psycopg import Connection, sql
from psycopg.rows import dict_row

from include.entities.entity import Entity
from include.entities.window import Window
from include.warehouse.merge_statements import stored_table
from include.warehouse.receipts import Receipt
from include.warehouse.upsert import NOTHING_REJECTED, Rejected, Rows, upsert_rows

WRITTEN = ("source", "first_seen_at", "ingested_at")
"""What a stored row says about its own writing."""


class Repository(Protocol):
    """Keeps the newest version of every record."""

    def transaction(self) -> AbstractContextManager[object]:
        """What is written inside, also by quarantine and receipts over the same store, happens whole or not at all."""
        ...

    def upsert(
        self,
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
    ) -> list[Receipt]:
        """Merge rows by `(source_updated_at, content_digest)` and keep the receipts, in one transaction.

        :param rows: as `entity.arrow_schema`; `child_rows` as the child's, with `parent_digest` in addition.
        :param rejected: rows that validation kept back; they are part of what was received.
        :param is_correction: of two that claim the same instant the incoming row wins.
        :returns: the closed receipts: the entity's, then its child's.
        """
        ...

    def get(self, entity: Entity, key: tuple[Any, ...]) -> Mapping[str, Any] | None:
        """The stored row of one key: the entity's columns, `source_updated_at` and what `WRITTEN` names; or None."""
        ...


class PostgresRepository:
    """Records in the warehouse, through one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def transaction(self) -> AbstractContextManager[object]:
        """A transaction of the connection."""
        return self._conn.transaction()

    def upsert(self, entity: Entity, rows: Rows, **options: Any) -> list[Receipt]:
        """See `Repository.upsert` and `upsert_rows`."""
        return upsert_rows(self._conn, entity, rows, **options)

    def get(self, entity: Entity, key: tuple[Any, ...]) -> Mapping[str, Any] | None:
        """See `Repository.get`."""
        names = [*entity.columns, "source_updated_at", *WRITTEN]
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            stored_table(entity),
            sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(column)) for column in entity.key),
        )
        with self._conn.transaction(), self._conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, key).fetchone()
