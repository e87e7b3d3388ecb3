"""From landing bytes to merged tables, beside bare COPY and merge of the same rows ready-made; and what its parts cost.

Both fill empty tables, in turn. Production has Postgres analyse what came in before it is merged; the floor is bare
COPY and merge with that or without, whichever is faster. Great Expectations is imported beforehand: a process pays for
that once, whatever the number of rows, and it is shown by itself.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import sql

from bench.landed_orders import NOW, WINDOW, LandedOrders, land_orders
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.entities.entity import Entity
from include.entities.orders import ORDER_LINES, ORDERS
from include.ingestion.landing import Landing
from include.ingestion.quality import check_expectations, columns_looked_at
from include.ingestion.quarantine import Intake, Origin
from include.ingestion.quarantine_in_postgres import PostgresQuarantine
from include.ingestion.receipts import PostgresReceipts
from include.ingestion.service import IngestionService
from include.ingestion.validated import reading_rows
from include.sources.settings import SourceSettings
from include.sources.woocommerce_orders import WooCommerceOrders
from include.warehouse import merge_statements as statements
from include.warehouse.connection import connect_warehouse
from include.warehouse.receipts import Receipt
from include.warehouse.repository import PostgresRepository

ROWS = 1_000_000
SPOILT_ROWS = 200_000
SPOILT_PER_PAGE = 1
ROUNDS = 3


@dataclass
class Spent:
    """Seconds spent on the accounts and in quarantine."""

    receipts: float = 0.0
    quarantine: float = 0.0


class TimedReceipts(PostgresReceipts):
    """Receipts that say how long they took."""

    def __init__(self, conn: psycopg.Connection, spent: Spent) -> None:
        super().__init__(conn)
        self._spent = spent

    def write(self, receipt: Receipt, *, now: datetime) -> None:
        """See `Receipts.write`."""
        started = time.perf_counter()
        super().write(receipt, now=now)
        self._spent.receipts += time.perf_counter() - started


class TimedQuarantine(PostgresQuarantine):
    """A quarantine that says how long taking rows in took."""

    def __init__(self, conn: psycopg.Connection, spent: Spent) -> None:
        super().__init__(conn)
        self._spent = spent

    @contextmanager
    def intake(self, origin: Origin) -> Iterator[Intake]:
        """See `Quarantine.intake`."""
        context = super().intake(origin)
        inner = context.__enter__()
        yield _TimedIntake(inner, self._spent)
        started = time.perf_counter()
        context.__exit__(None, None, None)
        self._spent.quarantine += time.perf_counter() - started


class _TimedIntake:
    def __init__(self, inner: Intake, spent: Spent) -> None:
        self._inner, self._spent = inner, spent

    def add(self, file: str, rejections: Sequence[Any], *, rows: Sequence[bytes], context: Mapping[str, Any]) -> None:
        started = time.perf_counter()
        self._inner.add(file, rejections, rows=rows, context=context)
        self._spent.quarantine += time.perf_counter() - started


def run() -> list[Result]:
    import great_expectations  # noqa: F401  # paid here, not below

    with tempfile.TemporaryDirectory() as folder, fresh_warehouse() as dsn, connect_warehouse(dsn) as conn:
        landing = Landing(folder)
        whole, spoilt = land_orders(landing, rows=ROWS), land_orders(landing, rows=SPOILT_ROWS, spoilt=SPOILT_PER_PAGE)
        return [*_measure(conn, landing, whole), _quarantine(conn, landing, spoilt), _import_seconds()]


def _measure(conn: psycopg.Connection, landing: Landing, landed: LandedOrders) -> list[Result]:
    ours, receipts, expectations = [], [], []
    floors: dict[bool, list[float]] = {True: [], False: []}
    rows = landed.orders + landed.lines
    _timed(conn, lambda: _ingest(_service(conn, landing, Spent()), landed))  # warm, and makes what the floor copies
    ready = {each.name: _binary(landing, landed.batch, each) for each in (ORDERS, ORDER_LINES)}
    for _ in range(ROUNDS):
        spent = Spent()
        service = _service(conn, landing, spent)
        ours.append(_timed(conn, lambda service=service: _ingest(service, landed)))
        receipts.append(spent.receipts)
        expectations.append(_expectation_seconds(landing, landed.batch))
        for is_analysed, taken in floors.items():
            merge = partial(_copy_and_merge, conn, ready, landed, is_analysed=is_analysed)
            taken.append(_timed(conn, merge))
    seconds = statistics.median(ours)
    floor, is_analysed = min((statistics.median(taken), is_analysed) for is_analysed, taken in floors.items())
    return [
        Result(
            name="ingestion.landing_to_table_share_of_copy_and_merge",
            value=100 * floor / seconds,
            unit="%",
            against="bare COPY of the same rows ready-made and the merge statements alone, both tables, in turn; "
            "rows are orders plus their lines",
            goal="≥ 50",
            detail=f"{rows / seconds:,.0f} rows/s against {rows / floor:,.0f} rows/s, {rows:,} rows in {seconds:.2f} s "
            f"against {floor:.2f} s {'with' if is_analysed else 'without'} ANALYZE, median of {ROUNDS} rounds each; "
            f"{landed}, checksums, rules, digests, expectations, accounts included",
        ),
        _share("receipts", statistics.median(receipts), seconds, "writing the accounts of both steps"),
        _share("expectations", statistics.median(expectations), seconds, "Great Expectations over both entities, warm"),
    ]


def _quarantine(conn: psycopg.Connection, landing: Landing, landed: LandedOrders) -> Result:
    quarantined, seconds, rejected = [], [], 0
    for _ in range(ROUNDS):
        conn.execute("TRUNCATE quarantine.rejected_rows")
        spent = Spent()
        service = _service(conn, landing, spent)
        seconds.append(_timed(conn, lambda service=service: _ingest(service, landed)))
        quarantined.append(spent.quarantine)
        (rejected,) = conn.execute("SELECT count(*) FROM quarantine.rejected_rows").fetchone()  # type: ignore[misc]  # a count is a row
    part = statistics.median(quarantined)
    detail = (
        f"{1000 * part / rejected:.2f} s per 1,000 rejected rows, {rejected:,} rows: "
        f"{SPOILT_PER_PAGE} of 100 orders rejected with its lines, of {landed}"
    )
    return _share("quarantine", part, statistics.median(seconds), detail)


def _share(name: str, part: float, whole: float, detail: str) -> Result:
    return Result(
        name=f"ingestion.{name}_share_of_landing_to_table",
        value=100 * part / whole,
        unit="%",
        against="landing to merged table as a whole",
        detail=f"{part:.2f} s of {whole:.2f} s; {detail}",
    )


def _import_seconds() -> Result:
    script = "import time; t = time.perf_counter(); import great_expectations; print(time.perf_counter() - t)"
    values = [
        float(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
        for _ in range(ROUNDS)
    ]
    return Result(
        name="ingestion.expectations_import_seconds",
        value=statistics.median(values),
        unit="s",
        against="once per process that validates, on top of the shares above",
        detail=f"import great_expectations, median of {ROUNDS} fresh processes",
    )


def _service(conn: psycopg.Connection, landing: Landing, spent: Spent) -> IngestionService:
    source = WooCommerceOrders(SourceSettings(name="shop_api", base_url="http://127.0.0.1:1"))
    quarantine, receipts = TimedQuarantine(conn, spent), TimedReceipts(conn, spent)
    return IngestionService(source, PostgresRepository(conn), quarantine, receipts, lambda: NOW, landing=landing)


def _timed(conn: psycopg.Connection, load: Callable[[], None]) -> float:
    conn.execute("TRUNCATE shop.orders, shop.order_lines")
    conn.commit()
    conn.autocommit = True
    conn.execute("CHECKPOINT")
    conn.autocommit = False
    started = time.perf_counter()
    load()
    conn.commit()
    return time.perf_counter() - started


def _ingest(service: IngestionService, landed: LandedOrders) -> None:
    service.validate(WINDOW, batch=landed.batch)
    orders, lines = service.load(WINDOW, batch=landed.batch)
    assert orders.inserted + orders.quarantined == landed.orders, orders
    assert lines.inserted + lines.quarantined == landed.lines, lines


def _expectation_seconds(landing: Landing, batch: str) -> float:
    started = time.perf_counter()
    for entity in (ORDERS, ORDER_LINES):
        with reading_rows(landing, batch, entity, columns=columns_looked_at(entity)) as rows:
            check_expectations(entity, rows)
    return time.perf_counter() - started


def _binary(landing: Landing, batch: str, entity: Entity) -> bytes:
    with reading_rows(landing, batch, entity) as rows:
        table: pa.Table = rows.read_all().combine_chunks()
    encoder = ArrowToPostgresBinaryEncoder(table.schema)
    pieces = [encoder.write_header()]
    pieces += [encoder.write_batch(part) for part in table.to_batches(max_chunksize=65_536)]
    return b"".join([*pieces, encoder.finish()])


def _copy_and_merge(
    conn: psycopg.Connection, ready: Mapping[str, bytes], landed: LandedOrders, *, is_analysed: bool
) -> None:
    """The floor: nothing is read, decoded, checked or accounted for.

    :param is_analysed: the planner is told what came in, as in production.
    """

    def analyse(statement: sql.Composed) -> None:
        if is_analysed:
            cursor.execute(statement)

    values = {"source": "bench", "now": NOW}
    with conn.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '128MB'")
        cursor.execute(statements.create_incoming(ORDERS))
        _copy(cursor, ORDERS, statements.columns_of(ORDERS), ready["orders"])
        analyse(statements.analyse_incoming(ORDERS))
        cursor.execute(statements.create_changed(ORDERS))
        orders = cursor.execute(statements.merge(ORDERS), values).fetchone()
        analyse(statements.analyse_changed(ORDERS))
        cursor.execute(statements.create_incoming(ORDER_LINES, parent=ORDERS))
        _copy(cursor, ORDER_LINES, [*statements.columns_of(ORDER_LINES), "parent_digest"], ready["order_lines"])
        analyse(statements.analyse_incoming(ORDER_LINES))
        lines = cursor.execute(statements.merge_lines(ORDER_LINES, ORDERS), values).fetchone()
    assert orders is not None
    assert lines is not None
    assert (orders[0], lines[0]) == (landed.orders, landed.lines)


def _copy(cursor: psycopg.Cursor, entity: Entity, columns: Sequence[str], data: bytes) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(statements.incoming_table(entity), names)
    with cursor.copy(statement) as copy:
        view = memoryview(data)
        for start in range(0, len(view), 1 << 20):
            copy.write(view[start : start + (1 << 20)])
