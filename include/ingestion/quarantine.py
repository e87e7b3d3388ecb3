"""Quarantine: rejected rows, with reason, payload and where they came from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from psycopg import Connection

from include.entities.window import Window
from include.ingestion.personal_data import masked
from include.sources.source import Rejection


def quarantine_rows(
    conn: Connection,
    rejections: Iterable[tuple[str, Rejection]],
    *,
    source: str,
    batch: str,
    window: Window,
    now: datetime,
) -> None:
    """Keep rejected rows, in the caller's transaction.

    Personal data in a payload is masked; the digest is of the payload as it came, which landing holds.
    The same payload met again in another run stays one row; met twice in one batch it is two.

    :param rejections: landing file and rejection.
    :param now: written as `rejected_at`, UTC.
    """
    occurrences: Counter[tuple[str, str, str]] = Counter()
    rows = []
    for file, rejection in rejections:
        digest = hashlib.md5(rejection.payload, usedforsecurity=False).hexdigest()
        identity = (rejection.entity, rejection.rule_id, digest)
        occurrences[identity] += 1
        rows.append(
            (
                *identity,
                occurrences[identity],
                _storable(rejection.reason),
                _storable(masked(rejection.payload.decode("utf-8", errors="backslashreplace"))),
                f"{batch}/{file}",
                rejection.position,
                source,
                window.start,
                window.end,
                now,
            )
        )
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO quarantine.rejected_rows (
                entity, rule_id, payload_digest, occurrence, reason, payload, landing_file, landing_position,
                source, window_start, window_end, rejected_at
            )
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT DO NOTHING
            """,
            rows,
        )


def _storable(text: str) -> str:
    """Postgres text cannot hold a NUL character; it is written as an escape."""
    return text.replace("\x00", "\\x00")
