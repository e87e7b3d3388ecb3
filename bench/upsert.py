"""Upsert of 1,000,000 orders, beside what Postgres alone needs and beside Airflow's own hook.

Three loads: into an empty table; onto 500,000 of the orders in an older version, so that half are inserted and half
updated; and the same load again, which writes nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import sql

from bench.orders import FIRST_DAY, orders
from bench.result import Result
from include.entities.orders import ORDERS
from include.entities.window import Window
from include.local.postgres import PostgresServer
from include.warehouse import merge_statements as statements
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate
from include.warehouse.upsert import upsert_rows

ROWS = 1_000_000
ROUNDS = 3
ENTITY = dataclasses.replace(ORDERS, child=None)
WINDOW = Window(FIRST_DAY, FIRST_DAY + timedelta(days=365))
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def run() -> list[Result]:
    rows = orders(ROWS, version_seconds=60)
    older = orders(ROWS // 2)
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder) / "postgres")
        server.start()
        try:
            return _measure(server, rows, older, _binary(rows))
        finally:
            server.stop()


def _measure(server: PostgresServer, rows: pa.Table, older: pa.Table, ready_made: bytes) -> list[Result]:
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE bench")
    dsn = server.dsn("bench")
    results = []
    with connect_warehouse(dsn) as conn:
        migrate(conn)
        conn.commit()
        for name, before, expected in (
            ("first_load", older.slice(0, 0), (ROWS, 0)),
            ("half_new", older, (ROWS // 2, ROWS // 2)),
            ("repeat", rows, (0, 0)),
        ):
            ours, floors = [], []
            for _ in range(ROUNDS):
                floors.append(_timed(conn, before, lambda: _copy_and_merge(conn, ready_made), expected))
                ours.append(_timed(conn, before, lambda: _upsert(conn, rows), expected))
            results.append(_share(name, statistics.median(ours), statistics.median(floors)))
            if name == "first_load":
                first_load_seconds, floor_seconds = statistics.median(ours), statistics.median(floors)
        _fill(conn, older.slice(0, 0))
    hook_seconds = _insert_rows(dsn, rows)
    return [
        *results,
        Result(
            name="ingestion.upsert_times_insert_rows",
            value=hook_seconds / first_load_seconds,
            unit="times",
            against="PostgresHook.insert_rows(replace=True) of the same rows into an empty table",
            goal="≥ 10",
            detail=f"{ROWS / first_load_seconds:,.0f} rows/s against {ROWS / hook_seconds:,.0f} rows/s; "
            f"what bounds it: bare COPY and merge alone would be {hook_seconds / floor_seconds:.1f} times",
        ),
    ]


def _share(name: str, ours_seconds: float, floor_seconds: float) -> Result:
    return Result(
        name=f"ingestion.upsert_share_of_copy_and_merge_{name}",
        value=100 * floor_seconds / ours_seconds,
        unit="%",
        against="bare COPY of ready-made bytes into an indexed table plus the merge statement alone",
        goal="≥ 70",
        detail=f"{ROWS / ours_seconds:,.0f} rows/s against {ROWS / floor_seconds:,.0f} rows/s, "
        f"median of {ROUNDS} rounds each",
    )


def _fill(conn: psycopg.Connection, before: pa.Table) -> None:
    conn.execute("TRUNCATE shop.orders")
    upsert_rows(conn, ENTITY, before, window=WINDOW, source="bench", now=NOW)
    conn.commit()
    conn.autocommit = True
    conn.execute("VACUUM ANALYZE shop.orders")
    conn.autocommit = False


def _timed(
    conn: psycopg.Connection, before: pa.Table, load: Callable[[], tuple[int, int]], expected: tuple[int, int]
) -> float:
    _fill(conn, before)
    started = time.perf_counter()
    outcome = load()
    conn.commit()
    seconds = time.perf_counter() - started
    assert outcome == expected, outcome
    return seconds


def _upsert(conn: psycopg.Connection, rows: pa.Table) -> tuple[int, int]:
    receipt = upsert_rows(conn, ENTITY, rows, window=WINDOW, source="bench", now=NOW)[0]
    return receipt.inserted, receipt.updated


def _copy_and_merge(conn: psycopg.Connection, ready_made: bytes) -> tuple[int, int]:
    """The floor: nothing is encoded, checked or accounted for."""
    with conn.cursor() as cursor:
        cursor.execute(statements.create_incoming(ENTITY))
        cursor.execute("ALTER TABLE incoming_orders ADD PRIMARY KEY (order_id)")
        names = sql.SQL(", ").join(map(sql.Identifier, statements.columns_of(ENTITY)))
        copy_statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)")
        with cursor.copy(copy_statement.format(statements.incoming_table(ENTITY), names)) as copy:
            view = memoryview(ready_made)
            for start in range(0, len(view), 1 << 20):
                copy.write(view[start : start + (1 << 20)])
        row = cursor.execute(statements.merge(ENTITY), {"source": "bench", "now": NOW}).fetchone()
    assert row is not None
    return row[0], row[1]


def _binary(rows: pa.Table) -> bytes:
    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    pieces = [encoder.write_header()]
    pieces += [encoder.write_batch(batch) for batch in rows.to_batches(max_chunksize=65_536)]
    return b"".join([*pieces, encoder.finish()])


def _insert_rows(dsn: str, rows: pa.Table) -> float:
    """Airflow's own way, as its documentation calls it."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from airflow.sdk import Connection

    url = urlsplit(dsn)
    connection = Connection(
        conn_id="bench",
        conn_type="postgres",
        host=url.hostname,
        port=url.port,
        login=url.username,
        password=url.password,
        schema="bench",
    )
    hook = PostgresHook(connection=connection)
    fields = [*statements.columns_of(ENTITY), "source", "first_seen_at", "ingested_at"]
    digests = pa.array([digest.hex() for digest in rows["content_digest"].to_pylist()])
    texts = rows.set_column(rows.column_names.index("content_digest"), "content_digest", digests)
    tuples = [(*row, "bench", NOW, NOW) for row in zip(*(c.to_pylist() for c in texts.columns), strict=True)]
    hook._log = logging.getLogger("bench")  # a thousand lines of "Loaded … rows so far" otherwise
    started = time.perf_counter()
    hook.insert_rows(table="shop.orders", rows=tuples, target_fields=fields, replace=True, replace_index=["order_id"])
    return time.perf_counter() - started
