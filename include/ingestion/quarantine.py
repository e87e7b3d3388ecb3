"""Quarantine: rejected rows, with reason, payload and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from psycopg import Connection, Cursor

from include.entities.window import Window
from include.ingestion.personal_data import masked
from include.sources.source import Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where rejected rows come from.

    :param run: the run that rejected them, as its caller names it.
    :param now: written as `rejected_at`, UTC.
    """

    source: str
    batch: str
    window: Window
    run: str
    now: datetime


class Intake(Protocol):
    """Takes the rejected rows of one batch, page by page."""

    def add(self, file: str, rejections: Sequence[Rejection]) -> None:
        """Keep the rejections of one landed file."""
        ...


class Quarantine(Protocol):
    """Keeps rejected rows. Inside a repository's transaction it is part of it."""

    def intake(self, origin: Origin) -> AbstractContextManager[Intake]:
        """Open the quarantine for one batch; what was added is kept when the block ends well.

        Personal data in a payload is masked; the digest is of the payload as it came, which landing holds.
        The same payload met again in another run stays one row; met twice in one batch it is two.
        """
        ...


class PostgresQuarantine:
    """`quarantine.rejected_rows`, through one connection. Memory does not grow with the number of rejected rows."""

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


class _PostgresIntake:
    """Copies into a temporary table, made when the first rejection comes."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.is_open = False

    def add(self, file: str, rejections: Sequence[Rejection]) -> None:
        """See `Intake.add`."""
        if not rejections:
            return
        if not self.is_open:
            self._cursor.execute(_OPEN)
            self.is_open = True
        with self._cursor.copy(_COPY) as copy:
            for each in rejections:
                copy.write_row(
                    (each.entity, each.rule_id, payload_digest(each.payload), storable(each.reason),
                     readable(each.payload), file, each.position)
                )  # fmt: skip


def payload_digest(payload: bytes) -> str:
    """What identifies a rejected payload."""
    return hashlib.md5(payload, usedforsecurity=False).hexdigest()


def readable(payload: bytes) -> str:
    """The payload as quarantine shows it: text that Postgres can hold, personal data masked."""
    return storable(masked(payload.decode("utf-8", errors="backslashreplace")))


def storable(text: str) -> str:
    """Postgres text cannot hold a NUL character; it is written as an escape."""
    return text.replace("\x00", "\\x00")


_OPEN = """
DROP TABLE IF EXISTS pg_temp.rejections;
CREATE TEMPORARY TABLE rejections (
    number bigint GENERATED ALWAYS AS IDENTITY,
    entity text, rule_id text, payload_digest uuid, reason text, payload text, landing_file text,
    landing_position text
) ON COMMIT DROP
"""
_COPY = """
COPY pg_temp.rejections (entity, rule_id, payload_digest, reason, payload, landing_file, landing_position) FROM STDIN
"""
_KEEP = """
INSERT INTO quarantine.rejected_rows (
    entity, rule_id, payload_digest, occurrence, reason, payload, landing_file, landing_position,
    source, window_start, window_end, rejected_at
)
SELECT
    entity, rule_id, payload_digest,
    row_number() OVER (PARTITION BY entity, rule_id, payload_digest ORDER BY number),
    reason, payload, %(batch)s || '/' || landing_file, landing_position, %(source)s, %(start)s, %(end)s, %(now)s
FROM pg_temp.rejections
ON CONFLICT DO NOTHING
"""
