"""What a source is: something that gives pages of raw bytes and knows how to read them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from include.entities.entity import Entity
from include.entities.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer of an API, as it came.

    :param request: path and query, without credentials.
    :param received_at: when it had arrived, UTC.
    :param context: what reading the body needs and the body does not say (a place, a currency).
    :param status: the HTTP status that it came with.
    :param repeated_rows: so many of its first rows stood on the page before it, byte for byte. They are kept, and
        neither counted nor judged again.
    """

    body: bytes
    request: str
    received_at: datetime
    context: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    repeated_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A raw row, or a line of one, that cannot become a record.

    :param entity: name of the entity it should have become.
    :param position: `7` is the eighth row of its page, `7.2` that row's third line.
    """

    entity: str
    rule_id: str
    reason: str
    payload: bytes
    position: str


@dataclass(slots=True)
class Parsed:
    """The records of one page, where each stood, and what was refused.

    :param positions: row number in the page, one per record.
    :param line_positions: per record, for each of its lines the number among the raw lines.
    """

    records: list[Any] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    line_positions: list[Sequence[int]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


class Source(Protocol):
    """Gives one entity's rows over a window."""

    entity: Entity
    name: str

    def pages(self, window: Window) -> AsyncGenerator[Page]:
        """All pages of the window, in any order.

        :raises SourceError: a page could not be had.
        """
        ...

    def split(self, body: bytes, window: Window) -> Sequence[bytes]:
        """The raw rows of a page that belong to the window.

        :raises ValueError: the body is not what the API promises.
        """
        ...

    def split_lines(self, row: bytes) -> Sequence[bytes]:
        """The raw lines inside one raw row; empty for an entity without lines."""
        ...

    def parse(self, page: Page, window: Window) -> Parsed:
        """Typed records of a page; rows that do not fit are rejected one by one."""
        ...

    def required_fields(self) -> frozenset[str]:
        """Paths of the fields without which a raw row cannot be read, such as `total` or `line_items[].total`.

        None where `pages` already refuses to go on without them.
        """
        ...
