"""Quarantine in the warehouse: `quarantine.rejected_rows`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from psycopg import Connection, Cursor, sql
from psycopg.rows import dict_row

from include.entities.window import Window
from include.ingestion.quarantine import (
    EVERYTHING,
    Intake,
    OpenWindow,
    Origin,
    RejectedRow,
    Resolution,
    RuleCount,
    Selection,
    digest_of_row,
    payload_digest,
    readable,
    storable,
)
from include.sources.source import Rejection
from include.warehouse.receipts import Receipt


class PostgresQuarantine:
    """Through one connection. Memory does not grow with the number of rows that are taken in."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    @contextmanager
    def intake(self, origin: Origin) -> Iterator[Intake]:
        """See `Quarantine.intake`."""
        with self._conn.transaction(), self._conn.cursor() as cursor:
            intake = _PostgresIntake(cursor)
            yield intake
            if intake.is_open:
                cursor.execute(
                    _KEEP,
                    {
                        "batch": origin.batch, "source": origin.source, "run": origin.run, "now": origin.now,
                        "start": origin.window.start, "end": origin.window.end,
                    },
                )  # fmt: skip

    def counts(self, selection: Selection = EVERYTHING) -> list[RuleCount]:
        """See `Quarantine.counts`."""
        return [RuleCount(**row) for row in self._select(_COUNTS, _parameters(selection))]

    def rows(self, selection: Selection = EVERYTHING, *, limit: int) -> list[tuple[RejectedRow, str]]:
        """See `Quarantine.rows`."""
        found = self._select(_ROWS, {**_parameters(selection), "limit": limit})
        return [(_row(each), each["payload"]) for each in found]

    def open_windows(self, selection: Selection = EVERYTHING) -> list[OpenWindow]:
        """See `Quarantine.open_windows`."""
        return [
            OpenWindow(
                entity=each["entity"], source=each["source"], window=Window(each["window_start"], each["window_end"])
            )
            for each in self._select(_OPEN_WINDOWS, _parameters(selection))
        ]

    def take_open(
        self, *, source: str, window: Window, entities: Sequence[str], rule_id: str | None, family: Sequence[str]
    ) -> list[RejectedRow]:
        """See `Quarantine.take_open`."""
        parameters = {
            "source": source, "entities": list(entities), "rule_id": rule_id, "family": list(family),
            "start": window.start, "end": window.end,
        }  # fmt: skip
        return [_row(each) for each in self._select(_TAKE_OPEN, parameters)]

    def payload(self, row: RejectedRow) -> str:
        """See `Quarantine.payload`."""
        names = ("entity", "payload_digest", "row_digest", "occurrence")
        (found,) = self._select(_PAYLOAD, dict(zip(names, row.key, strict=True)))
        return found["payload"]

    def resolve(self, rows: Sequence[RejectedRow], *, as_: Resolution, receipt: Receipt, now: datetime) -> None:
        """See `Quarantine.resolve`."""
        entities, payloads, digests, occurrences = zip(*(row.key for row in rows), strict=True) if rows else ([],) * 4
        parameters = {
            "resolution": as_, "now": now, "step": receipt.step, "entity": receipt.entity,
            "start": receipt.window.start, "end": receipt.window.end, "entities": list(entities),
            "payload_digests": list(payloads), "row_digests": list(digests), "occurrences": list(occurrences),
        }  # fmt: skip
        with self._conn.transaction():
            self._conn.execute(_RESOLVE, parameters)

    def _select(self, query: sql.SQL | sql.Composed, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._conn.transaction(), self._conn.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters).fetchall()


class _PostgresIntake:
    """Copies into a temporary table, made when the first rejection comes."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.is_open = False

    def add(
        self, file: str, rejections: Sequence[Rejection], *, rows: Sequence[bytes], context: Mapping[str, Any]
    ) -> None:
        """See `Intake.add`."""
        if not rejections:
            return
        if not self.is_open:
            self._cursor.execute(_OPEN)
            self.is_open = True
        with self._cursor.copy(_COPY) as copy:
            for each in rejections:
                copy.write_row(
                    (each.entity, each.rule_id, payload_digest(each.payload), digest_of_row(each, rows, context),
                     storable(each.reason), readable(each.payload), file, each.position)
                )  # fmt: skip


def _parameters(selection: Selection) -> dict[str, Any]:
    return {
        "entities": None if selection.entities is None else sorted(selection.entities), "rule_id": selection.rule_id,
        "source": selection.source, "start": selection.start, "end": selection.end,
    }  # fmt: skip


def _row(found: Mapping[str, Any]) -> RejectedRow:
    return RejectedRow(
        entity=found["entity"],
        payload_digest=found["payload_digest"].hex,
        row_digest=found["row_digest"].hex,
        occurrence=found["occurrence"],
        rule_id=found["rule_id"],
        reason=found["reason"],
        source=found["source"],
        batch=found["batch"],
        file=found["landing_file"].removeprefix(f"{found['batch']}/"),
        position=found["landing_position"],
        window=Window(found["window_start"], found["window_end"]),
        run=found["run_id"],
        rejected_at=found["rejected_at"],
        last_rejected_at=found["last_rejected_at"],
        resolved_at=found["resolved_at"],
        resolution=found["resolution"],
    )


_OPEN = """
DROP TABLE IF EXISTS pg_temp.rejections;
CREATE TEMPORARY TABLE rejections (
    number bigint GENERATED ALWAYS AS IDENTITY,
    entity text, rule_id text, payload_digest uuid, row_digest uuid, reason text, payload text, landing_file text,
    landing_position text
) ON COMMIT DROP
"""
_COPY = """
COPY pg_temp.rejections (
    entity, rule_id, payload_digest, row_digest, reason, payload, landing_file, landing_position
) FROM STDIN
"""
# In the order of the keys, so that two batches with the same rows wait for one another and never in a circle.
_KEEP = """
INSERT INTO quarantine.rejected_rows AS kept (
    entity, payload_digest, row_digest, occurrence, rule_id, reason, payload, batch, landing_file, landing_position,
    source, run_id, window_start, window_end, rejected_at, last_rejected_at
)
SELECT
    entity, payload_digest, row_digest,
    row_number() OVER (PARTITION BY entity, payload_digest, row_digest ORDER BY number) AS occurrence,
    rule_id, reason, payload, %(batch)s, %(batch)s || '/' || landing_file, landing_position,
    %(source)s, %(run)s, %(start)s, %(end)s, %(now)s, %(now)s
FROM pg_temp.rejections
ORDER BY entity, payload_digest, row_digest, occurrence
ON CONFLICT (entity, payload_digest, row_digest, occurrence) DO UPDATE SET
    rule_id = EXCLUDED.rule_id, reason = EXCLUDED.reason, batch = EXCLUDED.batch,
    landing_file = EXCLUDED.landing_file, landing_position = EXCLUDED.landing_position, source = EXCLUDED.source,
    run_id = EXCLUDED.run_id, window_start = EXCLUDED.window_start, window_end = EXCLUDED.window_end,
    last_rejected_at = EXCLUDED.last_rejected_at,
    resolved_at = NULL, resolution = NULL, resolved_by_receipt_id = NULL
WHERE
    kept.resolved_at IS NOT NULL
    OR (kept.rule_id, kept.reason, kept.landing_file, kept.landing_position)
    IS DISTINCT FROM (EXCLUDED.rule_id, EXCLUDED.reason, EXCLUDED.landing_file, EXCLUDED.landing_position)
"""
_MEANT = sql.SQL("""
    (%(entities)s::text[] IS NULL OR entity = ANY(%(entities)s::text[]))
    AND (%(rule_id)s::text IS NULL OR rule_id = %(rule_id)s)
    AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(start)s::timestamptz IS NULL OR window_end > %(start)s)
    AND (%(end)s::timestamptz IS NULL OR window_start < %(end)s)
""")
_COUNTS = sql.SQL("""
SELECT
    entity, rule_id, count(*) FILTER (WHERE resolved_at IS NULL) AS open_count, count(resolved_at) AS resolved_count,
    (array_agg(reason ORDER BY resolved_at IS NULL DESC, last_rejected_at DESC, landing_file, landing_position))[1]
        AS reason,
    min(rejected_at) AS first_rejected_at, max(last_rejected_at) AS last_rejected_at
FROM quarantine.rejected_rows
WHERE {meant}
GROUP BY entity, rule_id
ORDER BY entity, rule_id
""").format(meant=_MEANT)
_COLUMNS = sql.SQL("""
    entity, payload_digest, row_digest, occurrence, rule_id, reason, source, batch, landing_file, landing_position,
    window_start, window_end, run_id, rejected_at, last_rejected_at, resolved_at, resolution
""")
_ROWS = sql.SQL("""
SELECT {columns}, payload
FROM quarantine.rejected_rows
WHERE resolved_at IS NULL AND {meant}
ORDER BY last_rejected_at DESC, entity, landing_file, landing_position
LIMIT %(limit)s
""").format(columns=_COLUMNS, meant=_MEANT)
_OPEN_WINDOWS = sql.SQL("""
SELECT DISTINCT entity, source, window_start, window_end
FROM quarantine.rejected_rows
WHERE resolved_at IS NULL AND {meant}
ORDER BY window_start, window_end, entity, source
""").format(meant=_MEANT)
_TAKE_OPEN = sql.SQL("""
SELECT {columns}
FROM quarantine.rejected_rows
WHERE
    resolved_at IS NULL AND source = %(source)s AND entity = ANY(%(family)s)
    AND row_digest IN (
        SELECT row_digest FROM quarantine.rejected_rows
        WHERE
            resolved_at IS NULL AND entity = ANY(%(entities)s) AND source = %(source)s
            AND window_start = %(start)s AND window_end = %(end)s
            AND (%(rule_id)s::text IS NULL OR rule_id = %(rule_id)s)
    )
ORDER BY entity, payload_digest, row_digest, occurrence
FOR UPDATE
""").format(columns=_COLUMNS)
_PAYLOAD = sql.SQL("""
SELECT payload
FROM quarantine.rejected_rows
WHERE
    entity = %(entity)s AND payload_digest = %(payload_digest)s AND row_digest = %(row_digest)s
    AND occurrence = %(occurrence)s
""")
# The upsert's receipt is the newest of its entity and window: one load at a time writes into a table.
_RESOLVE = """
UPDATE quarantine.rejected_rows AS kept
SET
    resolved_at = %(now)s, resolution = %(resolution)s, resolved_by_receipt_id = (
        SELECT max(receipt_id) FROM ops.receipts
        WHERE step = %(step)s AND entity = %(entity)s AND window_start = %(start)s AND window_end = %(end)s
    )
FROM unnest(
    %(entities)s::text[], %(payload_digests)s::uuid[], %(row_digests)s::uuid[], %(occurrences)s::integer[]
) AS dealt (entity, payload_digest, row_digest, occurrence)
WHERE
    kept.entity = dealt.entity AND kept.payload_digest = dealt.payload_digest
    AND kept.row_digest = dealt.row_digest AND kept.occurrence = dealt.occurrence
"""
