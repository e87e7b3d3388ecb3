"""What the metrics say, read from the warehouse: one statement per table, all of them in one snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection, IsolationLevel
from psycopg.rows import class_row

STATEMENT_SECONDS = 10
OUTCOMES = ("passed", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined")
"""What can become of a received row, in the order of `StepTotals.rows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTotals:
    """All receipts of one step and entity, added up.

    :param rows: one count per outcome of `OUTCOMES`; together they are what was received.
    :param newest_version_at: the greatest `source_updated_at` taken in, None where no receipt names one.
    """

    step: str
    entity: str
    receipts: int
    seconds: float
    received: int
    rows: Sequence[int]
    deleted: int
    last_written_at: datetime
    newest_window_end: datetime
    newest_version_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTotals:
    """All requests to one host through one source that ended in one status.

    :param status: the HTTP status as text, or what kept an answer from coming (`timeout`, …).
    :param bucket_counts: per bucket of `BUCKET_SECONDS`, the last for what took longer, not cumulative.
    """

    host: str
    source: str
    status: str
    request_count: int
    retry_count: int
    seconds_total: float
    bucket_counts: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """The breaker of one host."""

    host: str
    state: str
    failure_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRows:
    """Rows in quarantine that nobody has resolved yet, of one entity and rule."""

    entity: str
    rule: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectationTotals:
    """All checks of one expectation.

    :param column: what it is about, empty for an expectation over the whole table.
    :param is_holding: the outcome of the latest check, None when the entity's latest check left this one out.
    """

    entity: str
    expectation: str
    column: str
    severity: str
    checks: int
    failures: int
    is_holding: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChanges:
    """Fields of one entity that were added, missing or retyped."""

    entity: str
    change: str
    fields: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMeasurement:
    """What the newest monitoring of scores says of one subject and metric.

    :param subject: an input of the model, its score, or `reality`.
    """

    subject: str
    metric: str
    value: float
    is_alert: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The state of the platform at one instant."""

    steps: Sequence[StepTotals]
    requests: Sequence[RequestTotals]
    circuits: Sequence[Circuit]
    open_rows: Sequence[OpenRows]
    expectations: Sequence[ExpectationTotals]
    schema_changes: Sequence[SchemaChanges]
    measurements: Sequence[ModelMeasurement] = ()


STEPS = """
SELECT
    step, entity, count(*) AS receipts, sum(seconds) AS seconds, sum(received)::bigint AS received,
    ARRAY[
        sum(passed), sum(inserted), sum(updated), sum(unchanged), sum(stale), sum(duplicate), sum(quarantined)
    ]::bigint[] AS rows,
    sum(deleted)::bigint AS deleted, max(written_at) AS last_written_at, max(window_end) AS newest_window_end,
    max((details ->> 'newest_version_at')::timestamptz) AS newest_version_at
FROM ops.receipts
GROUP BY step, entity
"""

REQUESTS = """
SELECT host, source, status, request_count, retry_count, seconds_total, bucket_counts FROM ops.request_totals
"""

CIRCUITS = "SELECT host, state, failure_count FROM ops.circuits"

OPEN_ROWS = """
SELECT entity, rule_id AS rule, count(*) AS rows
FROM quarantine.rejected_rows
WHERE resolved_at IS NULL
GROUP BY entity, rule_id
"""

EXPECTATIONS = """
WITH latest AS (
    SELECT entity, max(checked_at) AS checked_at FROM ops.quality_results GROUP BY entity
)

SELECT
    result.entity, result.expectation, coalesce(result.details ->> 'column', '') AS column, result.severity,
    count(*) AS checks, count(*) FILTER (WHERE NOT result.is_success) AS failures,
    bool_and(result.is_success) FILTER (WHERE result.checked_at = latest.checked_at) AS is_holding
FROM ops.quality_results AS result
JOIN latest ON latest.entity = result.entity
GROUP BY 1, 2, 3, 4
"""

SCHEMA_CHANGES = "SELECT entity, change, count(*) AS fields FROM ops.schema_changes GROUP BY entity, change"

MEASUREMENTS = """
SELECT DISTINCT ON (subject, metric) subject, metric, value, is_alert
FROM ml.monitoring
ORDER BY subject, metric, snapshot_at DESC, measured_at DESC
"""


def read_metrics(conn: Connection) -> Readings:
    """Read everything that the metrics say, in one read-only transaction of `conn`, which must be in none.

    :raises psycopg.Error: a statement took longer than `STATEMENT_SECONDS`, or the warehouse lacks a migration.
    """
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    with conn.transaction():
        conn.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
        return Readings(
            steps=_rows(conn, StepTotals, STEPS),
            requests=_rows(conn, RequestTotals, REQUESTS),
            circuits=_rows(conn, Circuit, CIRCUITS),
            open_rows=_rows(conn, OpenRows, OPEN_ROWS),
            expectations=_rows(conn, ExpectationTotals, EXPECTATIONS),
            schema_changes=_rows(conn, SchemaChanges, SCHEMA_CHANGES),
            measurements=_rows(conn, ModelMeasurement, MEASUREMENTS),
        )


def _rows(conn: Connection, kind: type[Any], statement: str) -> list[Any]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(statement).fetchall()
