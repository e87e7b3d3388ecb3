"""The stores that the warehouse contract is run against."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from include.entities.entity import Entity
from include.ingestion.drift import SchemaChange
from include.ingestion.landing import Landing
from include.ingestion.memory import MemoryQuarantine, MemoryReceipts
from include.ingestion.quarantine_in_postgres import PostgresQuarantine
from include.ingestion.receipts import PostgresReceipts
from include.ingestion.service import IngestionService
from include.sources.source import Source
from include.warehouse.memory import MemoryRepository, MemoryStore
from include.warehouse.repository import PostgresRepository


class StoresInMemory:
    """Everything in one `MemoryStore`."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.repository = MemoryRepository(self.store)
        self.quarantine = MemoryQuarantine(self.store)
        self.receipts = MemoryReceipts(self.store)

    def kept_rows(self, entity: Entity) -> dict[tuple[Any, ...], Mapping[str, Any]]:
        """By key what is known of each record; not when it was written."""
        names = (*entity.columns, "source_updated_at", "content_digest")
        rows = self.store.tables[entity.name].items()
        return {key: {name: row[name] for name in names} for key, row in rows}

    def kept_receipts(self) -> list[Mapping[str, Any]]:
        return [
            {
                **{name: getattr(each, name) for name in each.__slots__},
                "window_start": each.window.start,
                "window_end": each.window.end,
            }
            for each in self.store.receipts
        ]

    def kept_rejections(self) -> list[Mapping[str, Any]]:
        return [
            {
                **{name: getattr(row, name) for name in row.__slots__},
                "payload": payload,
                "landing_file": f"{row.batch}/{row.file}",
                "landing_position": row.position,
                "window_start": row.window.start,
                "window_end": row.window.end,
                "run_id": row.run,
            }
            for row, payload in self.store.rejected_rows.values()
        ]

    def kept_schema_changes(self) -> list[SchemaChange]:
        return list(self.store.schema_changes.values())

    def kept_quality_results(self) -> list[tuple[str, str, bool, int, int]]:
        return [
            (each.entity, each.expectation.kind, each.is_success, each.row_count, each.failed_count)
            for each in self.store.quality_results
        ]


class StoresInPostgres:
    """Everything through one connection."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self.conn = conn
        self.repository = PostgresRepository(conn)
        self.quarantine = PostgresQuarantine(conn)
        self.receipts = PostgresReceipts(conn)

    def kept_rows(self, entity: Entity) -> dict[tuple[Any, ...], Mapping[str, Any]]:
        """By key what is known of each record; not when it was written."""
        names = (*entity.columns, "source_updated_at", "content_digest")
        rows = [dict(row) for row in self._rows(f"SELECT {', '.join(names)} FROM {entity.table}")]
        for row in rows:
            row["content_digest"] = row["content_digest"].bytes
        return {tuple(row[column] for column in entity.key): row for row in rows}

    def kept_receipts(self) -> list[Mapping[str, Any]]:
        return self._rows("SELECT * FROM ops.receipts ORDER BY receipt_id")

    def kept_rejections(self) -> list[Mapping[str, Any]]:
        return self._rows("SELECT * FROM quarantine.rejected_rows")

    def kept_schema_changes(self) -> list[SchemaChange]:
        return [SchemaChange(**row) for row in self._rows("SELECT * FROM ops.schema_changes")]

    def kept_quality_results(self) -> list[tuple[str, str, bool, int, int]]:
        query = "SELECT entity, expectation, is_success, row_count, failed_count FROM ops.quality_results"
        return [tuple(row.values()) for row in self._rows(query)]  # type: ignore[misc]  # five columns

    def _rows(self, query: str) -> list[Mapping[str, Any]]:
        with self.conn.transaction(), self.conn.cursor(row_factory=dict_row) as cursor:
            return list(cursor.execute(query))  # type: ignore[call-overload]  # a query of this file


def service_over(
    stores: StoresInMemory | StoresInPostgres, source: Source, landing: Landing, *, now: datetime, run: str = ""
) -> IngestionService:
    """The service over these stores, at a fixed time."""
    return IngestionService(
        source, stores.repository, stores.quarantine, stores.receipts, lambda: now, landing=landing, run=run
    )
