"""Extract, validate and load from a real sandbox into a real warehouse; and the tables as they then stand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.ingestion.service import IngestionService, service_in_postgres
from include.sources.factory import SOURCES
from include.sources.limits import HttpLimits
from include.sources.settings import SourceSettings
from include.sources.source import Source
from include.warehouse.receipts import Receipt
from tests.integration.sandbox_process import SandboxProcess

IMPATIENT = HttpLimits(attempts=6, request_seconds=20, patience_seconds=60, first_wait_seconds=0.001)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TABLES = {
    entity.name: tuple(each.table for each in (entity, entity.child) if each is not None)
    for entity in ENTITIES.values()
}
PLACES = [
    {"name": "London", "latitude": 51.5, "longitude": -0.12, "country": "GB"},
    {"name": "Oslo", "latitude": 59.9, "longitude": 10.7},
]
SYMBOLS = ["AMZN", "EBAY"]
PATHS = {
    "customers": "/wp-json/wc/v3/customers",
    "products": "/wp-json/wc/v3/products",
    "orders": "/wp-json/wc/v3/orders",
    "refunds": "/wp-json/wc/v3/refunds",
    "events": "/v1/export/events",
    "weather_daily": "/v1/archive",
    "stock_prices_daily": "/query",
}
"""Where the sandbox serves each entity."""
ALL_TABLES = tuple(table for tables in TABLES.values() for table in tables)
_WRITTEN = {"ingested_at", "first_seen_at"}
_LAST_MET = ("batch", "landing_file", "landing_position", "run_id", "last_rejected_at")


def settings_of(box: SandboxProcess, **overrides: Mapping[str, Any]) -> dict[str, SourceSettings]:
    """Connection settings of every API of the sandbox."""
    plain: dict[str, dict[str, Any]] = {
        "shop_api": {"login": box.consumer_key, "password": box.consumer_secret},
        "event_export": {"password": box.event_token},
        "weather_api": {"extra": {"locations": PLACES}},
        "stock_api": {"password": box.stock_key, "extra": {"symbols": SYMBOLS, "currency": "USD"}},
    }
    return {
        name: SourceSettings(**{"name": name, "base_url": box.base_url, **arguments, **overrides.get(name, {})})
        for name, arguments in plain.items()
    }


def source_of(box: SandboxProcess, entity: str, *, limits: HttpLimits = IMPATIENT, **overrides: Any) -> Source:
    """The source of an entity, reading from the sandbox."""
    connection, build = SOURCES[entity]
    return build(settings_of(box, **overrides)[connection], limits=limits)  # type: ignore[call-arg]


@dataclass
class Run:
    """What one run of the three steps over one window left: its batch and its receipts by (step, entity)."""

    batch: str
    receipts: dict[tuple[str, str], Receipt]

    def __getitem__(self, step_and_entity: tuple[str, str]) -> Receipt:
        return self.receipts[step_and_entity]


def service(conn: psycopg.Connection, source: Source, landing: Landing, *, now: datetime = NOW) -> IngestionService:
    """The service over a real warehouse, at a fixed time."""
    return service_in_postgres(conn, source, landing=landing, clock=lambda: now)


def ingest(conn: psycopg.Connection, source: Source, window: Window, *, landing: Landing, now: datetime = NOW) -> Run:
    """Extract, validate and load, each in transactions of its own as its task would; every account is checked."""
    receipts = asyncio.run(service(conn, source, landing, now=now).run(window))
    batch = receipts[0].batch
    assert batch is not None
    run = Run(batch, {(each.step, each.entity): each for each in receipts})
    check_accounts(run, source)
    return run


def check_accounts(run: Run, source: Source) -> None:
    """What one step handed on is what the next received, for the entity and its lines."""
    entity = source.entity
    validated, loaded = run["validate", entity.name], run["upsert", entity.name]
    assert run["extract", entity.name].passed == validated.received == loaded.received
    for each in (entity, entity.child):
        if each is not None:
            validated, loaded = run["validate", each.name], run["upsert", each.name]
            assert validated.received == validated.passed + validated.quarantined == loaded.received
            assert validated.quarantined == loaded.quarantined


def ingest_all(
    conn: psycopg.Connection, box: SandboxProcess, window: Window, *, landing: Landing, **options: Any
) -> None:
    """Every entity over one window."""
    for entity in ENTITIES:
        ingest(conn, source_of(box, entity), window, landing=landing, **options)


def bytes_of(
    conn: psycopg.Connection, tables: Iterable[str] = (*ALL_TABLES, "quarantine.rejected_rows")
) -> dict[str, list[str]]:
    """Every byte of the tables: their rows as text, sorted. Of rejected rows, not where they were last met."""
    found = {}
    for table in tables:
        row = f"to_jsonb(t) - '{{{','.join(_LAST_MET)}}}'::text[]" if table == "quarantine.rejected_rows" else "t"
        found[table] = sorted(text for (text,) in conn.execute(f"SELECT ({row})::text FROM {table} AS t"))
    conn.rollback()
    return found


def rows_of(conn: psycopg.Connection, table: str, *, without: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Rows of a table apart from when they were written, sorted."""
    dropped = _WRITTEN | set(without)
    cursor = conn.execute(f"SELECT * FROM {table}")
    assert cursor.description is not None
    names = [column.name for column in cursor.description]
    rows = [{name: value for name, value in zip(names, row, strict=True) if name not in dropped} for row in cursor]
    conn.rollback()
    return sorted(rows, key=repr)


def contents(conn: psycopg.Connection, entity: str) -> dict[str, list[dict[str, Any]]]:
    """The entity's tables apart from when they were written; of what is observed, also from when it was read."""
    without = {"source_updated_at"} if ENTITIES[entity].is_observed else set()
    return {table: rows_of(conn, table, without=without) for table in TABLES[entity]}


def days(start: datetime, count: int) -> list[Window]:
    """Daily windows, one after the other."""
    return [Window(start + timedelta(days=day), start + timedelta(days=day + 1)) for day in range(count)]
