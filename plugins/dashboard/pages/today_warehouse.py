"""What the warehouse knows of last night: receipts, quarantine, and what is missing or stale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.warehouse.receipts import loaded_stretches

DAY = timedelta(days=1)
LATE_AFTER = timedelta(hours=36)
"""A nightly table that was not written for longer has missed its night."""
DAYS_OF_INTAKE = 30
DAG_OF_SCHEMA = {"shop": "shop_to_features", "signals": "market_signals"}

_SCHEMAS = {"build": "features", "refresh": "analytics", "score": "ml"}


@dataclass(frozen=True, slots=True)
class Freshness:
    """When a table was last written by its step, and until when it knows the world.

    :param table: with its schema.
    :param until: end of the newest window that was worked on.
    """

    table: str
    step: str
    written_at: datetime
    until: datetime
    seconds: float

    def is_late(self, now: datetime) -> bool:
        """Whether it missed its last night."""
        return now - self.written_at > LATE_AFTER


@dataclass(frozen=True, slots=True)
class Gap:
    """Whole days of an entity that were never loaded, `[start, end)` in UTC."""

    entities: tuple[str, ...]
    dag_id: str
    window: Window

    @property
    def days(self) -> int:
        """How many."""
        return (self.last_day - self.window.start).days + 1

    @property
    def last_day(self) -> datetime:
        """The day of its last instant."""
        return self.window.end - timedelta(microseconds=1)


def intake(conn: Connection, *, since: datetime) -> list[dict[str, Any]]:
    """What each load since an instant did: one row per entity with the sums of its receipts."""
    return _rows(
        conn,
        """
        SELECT
            entity, count(*) AS load_count, min(window_start) AS window_start,
            max(window_end) - INTERVAL '1 microsecond' AS last_instant, sum(received)::bigint AS received,
            sum(inserted)::bigint AS inserted, sum(updated)::bigint AS updated, sum(unchanged)::bigint AS unchanged,
            sum(stale + duplicate)::bigint AS older_or_double,
            max(written_at) AS written_at
        FROM ops.receipts
        WHERE step = 'upsert' AND written_at >= %(since)s
        GROUP BY entity
        ORDER BY sum(received) DESC, entity
        """,
        since=since,
    )


def intake_by_day(conn: Connection, *, now: datetime) -> list[dict[str, Any]]:
    """Rows loaded on each of the last days, by entity; of days in UTC."""
    return _rows(
        conn,
        """
        SELECT
            (written_at AT TIME ZONE 'UTC')::date AS loaded_on, entity,
            sum(inserted + updated)::bigint AS written_count
        FROM ops.receipts
        WHERE step = 'upsert' AND written_at >= %(since)s
        GROUP BY 1, entity
        HAVING sum(inserted + updated) > 0
        ORDER BY 1, entity
        """,
        since=now - timedelta(days=DAYS_OF_INTAKE),
    )


def rejections(conn: Connection, *, since: datetime) -> list[dict[str, Any]]:
    """Rows in quarantine that wait, by entity and rule, with how many of them came since an instant."""
    return _rows(
        conn,
        """
        SELECT
            entity, rule_id, count(*) AS open_count,
            count(*) FILTER (WHERE last_rejected_at >= %(since)s) AS recent_count,
            (array_agg(reason ORDER BY last_rejected_at DESC))[1] AS reason,
            min(window_start) AS window_start, max(window_end) AS window_end, max(last_rejected_at) AS rejected_at
        FROM quarantine.rejected_rows
        WHERE resolved_at IS NULL
        GROUP BY entity, rule_id
        ORDER BY count(*) DESC, entity, rule_id
        """,
        since=since,
    )


def schema_changes(conn: Connection, *, since: datetime) -> list[dict[str, Any]]:
    """Fields that a source added, left out or sent as another kind since an instant."""
    return _rows(
        conn,
        """
        SELECT entity, field, change, detail, last_seen_at
        FROM ops.schema_changes WHERE first_seen_at >= %(since)s ORDER BY entity, field
        """,
        since=since,
    )


def failed_checks(conn: Connection, *, since: datetime) -> list[dict[str, Any]]:
    """Expectations that did not hold of a batch since an instant."""
    return _rows(
        conn,
        """
        SELECT entity, expectation, severity, sum(failed_count)::bigint AS failed_count, max(checked_at) AS checked_at
        FROM ops.quality_results WHERE NOT is_success AND checked_at >= %(since)s
        GROUP BY entity, expectation, severity ORDER BY severity, entity, expectation
        """,
        since=since,
    )


def freshness(conn: Connection) -> list[Freshness]:
    """Each table that a step writes, the longest unwritten first."""
    rows = conn.execute(
        """
        SELECT DISTINCT ON (step, entity)
            step, entity, written_at, max(window_end) OVER (PARTITION BY step, entity), seconds
        FROM ops.receipts
        WHERE step IN ('upsert', 'build', 'refresh', 'score', 'publish')
        ORDER BY step, entity, receipt_id DESC
        """
    ).fetchall()
    found = [Freshness(_table_of(step, entity), step, *rest) for step, entity, *rest in rows]
    return sorted(found, key=lambda each: each.written_at)


def loaded_until(conn: Connection) -> datetime | None:
    """The end of what was loaded of the orders."""
    row = conn.execute(
        "SELECT max(window_end) FROM ops.receipts WHERE step = 'upsert' AND entity = 'orders'"
    ).fetchone()
    return row[0] if row else None


def gaps(conn: Connection, *, until: datetime) -> list[Gap]:
    """Windows that were never loaded, between the first load of an entity and `until`; newest first.

    What was never begun has no gaps. Entities of one DAG with the same gap are one.
    """
    found: dict[tuple[str, Window], list[str]] = {}
    for entity in ENTITIES.values():
        stretches = loaded_stretches(conn, entity=entity.name, until=until)
        for window in _between(stretches, until):
            found.setdefault((DAG_OF_SCHEMA[entity.schema], window), []).append(entity.name)
    every = [Gap(tuple(names), dag_id, window) for (dag_id, window), names in found.items()]
    return sorted(every, key=lambda gap: (gap.window.end, gap.dag_id), reverse=True)


def stale_marts(conn: Connection) -> list[dict[str, Any]]:
    """Marts with how many days of changed facts they have not followed yet."""
    return _rows(
        conn,
        """
        SELECT states.mart, states.refreshed_at, states.data_until, states.row_count, states.seconds,
            count(DISTINCT stale.stale_on) AS stale_day_count
        FROM analytics.mart_states AS states
        LEFT JOIN analytics.stale_days AS stale ON states.mart = stale.mart
        GROUP BY states.mart ORDER BY states.mart
        """,
    )


def _between(stretches: list[Window], until: datetime) -> Iterable[Window]:
    ends = [each.start for each in stretches[1:]] + [until]
    for before, end in zip(stretches, ends, strict=False):  # Without a stretch there is nothing before `until`.
        if end > before.end:
            yield Window(before.end, end)


def _table_of(step: str, entity: str) -> str:
    known = {each.name: each.table for parent in ENTITIES.values() for each in (parent, parent.child) if each}
    if step == "publish":
        return f"{entity} (online)"
    return known.get(entity) or f"{_SCHEMAS.get(step, 'ops')}.{entity}"


def _rows(conn: Connection, query: str, **parameters: Any) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, parameters).fetchall()
