"""Receipts: the closed account of one step over one window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from include.entities.window import Window
from include.warehouse.errors import ReceiptDoesNotClose


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one step did with the rows of one entity (or feature view) over one window.

    received = passed + inserted + updated + unchanged + stale + duplicate + quarantined.

    :param step: `extract`, `validate`, `upsert`, `build`, `publish`.
    :param passed: rows handed to the next step unharmed.
    :param deleted: child rows that the newest version of their parent no longer has; outside the sum.
    :param oldest_event_at: the oldest event time among the rows written; what features repair from.
    :raises ReceiptDoesNotClose: the sum is open.
    """

    step: str
    entity: str
    window: Window
    received: int
    passed: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    duplicate: int = 0
    quarantined: int = 0
    deleted: int = 0
    oldest_event_at: datetime | None = None
    batch: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        outcomes = (
            self.passed + self.inserted + self.updated + self.unchanged
            + self.stale + self.duplicate + self.quarantined
        )  # fmt: skip
        if outcomes != self.received:
            raise ReceiptDoesNotClose(
                f"The receipt of {self.step}_{self.entity} for {self.window} does not close: "
                f"received {self.received}, accounted for {outcomes}. Nothing was committed. {self}"
            )

    def __str__(self) -> str:
        """One line that can be grepped."""
        counts = ["received", "passed"] if self.step in {"extract", "validate"} else ["received", "inserted", "updated"]
        if self.step == "validate":
            counts.append("quarantined")
        elif self.step != "extract":
            counts += ["unchanged", "stale", "duplicate", "quarantined", "deleted"]
        body = " ".join(f"{name}={getattr(self, name)}" for name in counts)
        return f"{self.step}_{self.entity} window={self.window} {body} seconds={self.seconds:.2f}"


def write_receipt(conn: Connection, receipt: Receipt, *, now: datetime) -> int:
    """Store a receipt in the caller's transaction and return its id."""
    row = conn.execute(
        """
        INSERT INTO ops.receipts (
            step, entity, window_start, window_end, received, passed, inserted, updated, unchanged, stale,
            duplicate, quarantined, deleted, oldest_event_at, batch, details, seconds, written_at
        )
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        RETURNING receipt_id
        """,
        (
            receipt.step, receipt.entity, receipt.window.start, receipt.window.end, receipt.received, receipt.passed,
            receipt.inserted, receipt.updated, receipt.unchanged, receipt.stale, receipt.duplicate,
            receipt.quarantined, receipt.deleted, receipt.oldest_event_at, receipt.batch,
            Jsonb(dict(receipt.details)), receipt.seconds, now,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None
    return row[0]


def loaded_stretches(conn: Connection, *, entity: str, until: datetime) -> list[Window]:
    """The stretches of time, oldest first and without gaps inside, over which an entity was loaded before `until`.

    Two windows that touch are one stretch. Between stretches nothing is known of the source: no row there does not
    mean that nothing happened.
    """
    rows = conn.execute(
        """
        SELECT lower(stretch), upper(stretch)
        FROM unnest((
            SELECT range_agg(tstzrange(window_start, least(window_end, %(until)s)))
            FROM ops.receipts
            WHERE step = 'upsert' AND entity = %(entity)s AND window_start < %(until)s
        )) AS stretch
        ORDER BY stretch
        """,
        {"entity": entity, "until": until},
    ).fetchall()
    return [Window(start, end) for start, end in rows]
