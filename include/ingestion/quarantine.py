"""Quarantine: rejected rows, with reason, payload and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import msgspec

from include.entities.window import Window
from include.ingestion.personal_data import masked
from include.sources.source import Rejection
from include.warehouse.receipts import Receipt

Resolution = Literal["loaded", "superseded"]
"""`loaded`: it is in the warehouse, in this or the same content. `superseded`: a newer version is there instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where rejected rows come from.

    :param run: the run that rejected them, as its caller names it.
    :param now: when they are rejected, UTC.
    """

    source: str
    batch: str
    window: Window
    run: str
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which rejected rows are meant; what is not given does not narrow.

    :param entities: of these entities.
    :param start: of windows that end after it; `end`: of windows that begin before it. UTC.
    """

    entities: frozenset[str] | None = None
    rule_id: str | None = None
    source: str | None = None
    start: datetime | None = None
    end: datetime | None = None


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """A row in quarantine. The first four say which.

    :param row_digest: of the whole raw row, also where the record is one line of it.
    :param position: `7` is the eighth row of the landed page `file`, `7.2` that row's third line.
    :param rejected_at: first; `last_rejected_at`: last. UTC.
    :param resolution: None while it is open.
    """

    entity: str
    payload_digest: str
    row_digest: str
    occurrence: int
    rule_id: str
    reason: str
    source: str
    batch: str
    file: str
    position: str
    window: Window
    run: str
    rejected_at: datetime
    last_rejected_at: datetime
    resolved_at: datetime | None
    resolution: Resolution | None

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells it from every other."""
        return self.entity, self.payload_digest, self.row_digest, self.occurrence

    @property
    def row_number(self) -> int:
        """Which raw row of its page it is, or is a line of."""
        return int(self.position.partition(".")[0])

    @property
    def is_line(self) -> bool:
        """Whether it is a line of a raw row."""
        return "." in self.position


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """How much one rule holds back.

    :param reason: of the row rejected last.
    :param first_rejected_at: and `last_rejected_at` are over open and resolved rows, UTC.
    """

    entity: str
    rule_id: str
    open_count: int
    resolved_count: int
    reason: str
    first_rejected_at: datetime
    last_rejected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """A window of a source with open rows of an entity."""

    entity: str
    source: str
    window: Window


class Intake(Protocol):
    """Takes the rejected rows of one batch, page by page."""

    def add(
        self, file: str, rejections: Sequence[Rejection], *, rows: Sequence[bytes], context: Mapping[str, Any]
    ) -> None:
        """Keep the rejections of one landed file.

        :param rows: the raw rows of that page.
        :param context: what the page said beside them.
        """
        ...


class Quarantine(Protocol):
    """Keeps rejected rows. Inside a repository's transaction it is part of it."""

    def intake(self, origin: Origin) -> AbstractContextManager[Intake]:
        """Open the quarantine for one batch; what was added is kept when the block ends well.

        Personal data in a payload is masked; the digest is of the payload as it came, which landing holds.
        The same record met again in another run stays one row, with the newest reason and origin, and is open again
        if it had been resolved; met twice in one batch it is two.
        """
        ...

    def counts(self, selection: Selection = EVERYTHING) -> list[RuleCount]:
        """What is held back, by entity and rule."""
        ...

    def rows(self, selection: Selection = EVERYTHING, *, limit: int) -> list[tuple[RejectedRow, str]]:
        """Some open rows and their payloads, those rejected last first."""
        ...

    def open_windows(self, selection: Selection = EVERYTHING) -> list[OpenWindow]:
        """Where there are open rows, oldest window first."""
        ...

    def take_open(
        self, *, source: str, window: Window, entities: Sequence[str], rule_id: str | None, family: Sequence[str]
    ) -> list[RejectedRow]:
        """The open rows of these entities in one window, and every other open one that came in the same raw rows.

        Until the transaction ends, others wait for them. In the order of their keys.

        :param rule_id: only those that broke this rule, and what came with them.
        :param family: the entities whose records lie in the same raw rows.
        """
        ...

    def payload(self, row: RejectedRow) -> str:
        """What is kept of a row: text, personal data masked."""
        ...

    def resolve(self, rows: Sequence[RejectedRow], *, as_: Resolution, receipt: Receipt, now: datetime) -> None:
        """Say that rows have been dealt with, by an upsert of this transaction."""
        ...


def payload_digest(payload: bytes) -> str:
    """What identifies a rejected payload."""
    return hashlib.md5(payload, usedforsecurity=False).hexdigest()


def row_digest(row: bytes, context: Mapping[str, Any]) -> str:
    """What identifies a whole raw row: its bytes, and what its page said beside them, if anything."""
    return payload_digest(row + msgspec.json.encode(context, order="deterministic") if context else row)


def digest_of_row(rejection: Rejection, rows: Sequence[bytes], context: Mapping[str, Any]) -> str:
    """The digest of the raw row that was rejected, or that a rejected line stands in."""
    number, _, line = rejection.position.partition(".")
    return row_digest(bytes(rows[int(number)]) if line else rejection.payload, context)


def readable(payload: bytes) -> str:
    """The payload as quarantine shows it: text that Postgres can hold, personal data masked."""
    return storable(masked(payload.decode("utf-8", errors="backslashreplace")))


def storable(text: str) -> str:
    """Postgres text cannot hold a NUL character; it is written as an escape."""
    return text.replace("\x00", "\\x00")
