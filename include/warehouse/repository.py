"""Where records are kept, as the service that loads them sees it: in Postgres, or in memory for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from psycopg import Connection, sql
from psycopg.rows import dict_row

from include.entities.entity import Entity
from include.entities.window import Window
from include.warehouse.merge_statements import stored_table
from include.warehouse.receipts import Receipt
from include.warehouse.upsert import NO_DETAILS, NOTHING_REJECTED, Rejected, Rows, upsert_rows

WRITTEN = ("source", "first_seen_at", "ingested_at")
"""What a stored row says about its own writing."""
_KEYS_AT_ONCE = 500


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
        details: Mapping[str, Any] = NO_DETAILS,
    ) -> list[Receipt]:
        """Merge rows by `(source_updated_at, content_digest)` and keep the receipts, in one transaction.

        :param rows: as `entity.arrow_schema`; `child_rows` as the child's, with `parent_digest` in addition.
        :param rejected: rows that validation kept back; they are part of what was received.
        :param is_correction: of two that claim the same instant the incoming row wins.
        :param details: kept with the receipts.
        :returns: the closed receipts: the entity's, then its child's.
        """
        ...

    def get(self, entity: Entity, key: tuple[Any, ...]) -> Mapping[str, Any] | None:
        """The stored row of one key: the entity's columns, `source_updated_at` and what `WRITTEN` names; or None."""
        ...

    def versions(
        self, entity: Entity, keys: Sequence[tuple[Any, ...]]
    ) -> Mapping[tuple[Any, ...], tuple[datetime, bytes]]:
        """Of the keys that are stored `source_updated_at` and `content_digest`."""
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

    def versions(
        self, entity: Entity, keys: Sequence[tuple[Any, ...]]
    ) -> Mapping[tuple[Any, ...], tuple[datetime, bytes]]:
        """See `Repository.versions`."""
        key = sql.SQL(", ").join(map(sql.Identifier, entity.key))
        query = sql.SQL("SELECT {key}, source_updated_at, content_digest FROM {table} WHERE ({key}) IN ({keys})")
        one = sql.SQL("({})").format(sql.SQL(", ").join([sql.Placeholder()] * len(entity.key)))
        found = {}
        with self._conn.transaction():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                asked = keys[start : start + _KEYS_AT_ONCE]
                listed = sql.SQL(", ").join([one] * len(asked))
                filled = query.format(key=key, table=stored_table(entity), keys=listed)
                for *values, version, digest in self._conn.execute(filled, [value for each in asked for value in each]):
                    found[tuple(values)] = (version, digest.bytes)
        return found
