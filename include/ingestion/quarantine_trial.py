"""Trying rejected rows again: found in landing, read and judged by today's code and rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from include.entities.window import Window
from include.ingestion.errors import LandingDamaged
from include.ingestion.judge import judge_page
from include.ingestion.landing import Landing
from include.ingestion.quarantine import Quarantine, RejectedRow, payload_digest, row_digest
from include.sources.source import Page, Parsed, Rejection, Source


@dataclass(frozen=True, slots=True)
class RawRow:
    """A raw row of a source, and everything open that was rejected of it: itself, lines of it, or both."""

    rejected: Sequence[RejectedRow]

    @property
    def origin(self) -> RejectedRow:
        """Where to find it: where it was met last."""
        return max(self.rejected, key=lambda row: (row.last_rejected_at, row.batch, row.file))

    @property
    def itself(self) -> RejectedRow | None:
        """The rejected row that is all of it; None if the row was let in and only lines of it were not."""
        return next((row for row in self.rejected if not row.is_line), None)

    @property
    def is_correction(self) -> bool:
        """Whether the row is in the warehouse already, without some of its lines."""
        return self.itself is None


@dataclass(slots=True)
class Trial:
    """Raw rows of one page, tried again.

    :param file: of the landed page; `rows` and `context`: its raw rows, and what it said beside them.
    :param table: those that are let in now, and `lines` theirs; others of their lines may still be rejected.
    :param passing: the same by their place in the page, in the order of `table`; `failing`: those that are not let in.
    :param rejections: of rows and lines, as of today.
    :param is_correction: all of these rows are in the warehouse already, without some of their lines; else none.
    """

    file: str
    rows: Sequence[bytes]
    context: Mapping[str, Any]
    table: pa.Table
    lines: pa.Table | None
    passing: dict[int, RawRow]
    failing: list[RawRow]
    rejections: list[Rejection]
    is_correction: bool

    @property
    def tried(self) -> list[RawRow]:
        """All of them."""
        return [*self.passing.values(), *self.failing]

    def settled(self) -> Iterator[list[RejectedRow]]:
        """For each passing row, in the order of `table`, what of it is rejected no more."""
        refused: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for each in self.rejections:
            place = int(each.position.partition(".")[0])
            refused[place].add((each.entity, payload_digest(each.payload)))
        for place, row in self.passing.items():
            yield [each for each in row.rejected if (each.entity, each.payload_digest) not in refused[place]]


@dataclass(frozen=True, slots=True)
class Lost:
    """A raw row that cannot be had again."""

    row: RawRow
    reason: str


def raw_rows(rejected: Sequence[RejectedRow]) -> list[RawRow]:
    """Rejected rows and lines gathered by the raw row that they came in, in the order of landing."""
    by_row: dict[str, list[RejectedRow]] = defaultdict(list)
    for each in rejected:
        by_row[each.row_digest].append(each)
    found = [RawRow(tuple(own)) for own in by_row.values()]
    return sorted(found, key=lambda row: (row.origin.batch, row.origin.file, row.origin.row_number))


def try_again(
    source: Source, landing: Landing, quarantine: Quarantine, rows: Sequence[RawRow]
) -> Iterator[Trial | Lost]:
    """Try raw rows of one batch, page by page; each page is fetched once.

    Of a page that is gone from landing a row is tried as quarantine keeps it, if it is kept whole: nothing in it was
    masked, and reading it takes nothing that its page said.

    :raises LandingUnreachable: landing does not answer.
    """
    by_file: dict[str, list[RawRow]] = defaultdict(list)
    for row in rows:
        by_file[row.origin.file].append(row)
    for file, own in by_file.items():
        try:
            page = landing.page(own[0].origin.batch, file)
            page_rows = source.split(page.body, own[0].origin.window)
        except LandingDamaged as error:
            yield from _try_kept(source, quarantine, own, because=str(error))
            continue
        except ValueError as error:
            yield from (Lost(row, f"its page can no longer be cut into rows ({error})") for row in own)
            continue
        found: dict[int, RawRow] = {}
        for row in own:
            place = _place(source, page, page_rows, row)
            if place is None:
                yield Lost(row, "its page in landing no longer holds it; a customer's erasure removes rows")
            else:
                found[place] = row
        yield from _try_found(source, page, page_rows, found, file=file)


def _place(source: Source, page: Page, rows: Sequence[bytes], row: RawRow) -> int | None:
    """Where in its page a row stands: where it did, or elsewhere if others were taken out of the page."""
    origin = row.origin
    if origin.row_number < len(rows) and _is(source, bytes(rows[origin.row_number]), page, origin):
        return origin.row_number
    return next((place for place, raw in enumerate(rows) if _is(source, bytes(raw), page, origin)), None)


def _is(source: Source, raw: bytes, page: Page, origin: RejectedRow) -> bool:
    if row_digest(raw, page.context) == origin.row_digest:
        return True
    if not origin.is_line:
        return payload_digest(raw) == origin.payload_digest and origin.row_digest == origin.payload_digest
    lines = source.split_lines(raw) if origin.row_digest == origin.payload_digest else []
    return origin.payload_digest in map(payload_digest, lines)


def _try_found(
    source: Source, page: Page, rows: Sequence[bytes], found: Mapping[int, RawRow], *, file: str
) -> Iterator[Trial]:
    for is_correction in (False, True):
        chosen = {place: row for place, row in found.items() if row.is_correction is is_correction}
        if chosen:
            yield _trial(source, page, rows, chosen, file=file)


def _trial(source: Source, page: Page, rows: Sequence[bytes], chosen: Mapping[int, RawRow], *, file: str) -> Trial:
    reader = _SomeRows(source, chosen)
    window = next(iter(chosen.values())).origin.window
    judged = judge_page(reader, replace(page, repeated_rows=0), window)
    refused = {int(each.position) for each in judged.rejections if "." not in each.position}
    passing = [place for place in reader.read if place not in refused]
    if len(passing) != judged.rows.num_rows:
        raise RuntimeError(f"{file}: {judged.rows.num_rows} rows were let in where {len(passing)} were not rejected")
    return Trial(
        file=file,
        rows=rows,
        context=page.context,
        table=judged.rows,
        lines=judged.lines,
        passing={place: chosen[place] for place in passing},
        failing=[row for place, row in chosen.items() if place in refused],
        rejections=judged.rejections,
        is_correction=next(iter(chosen.values())).is_correction,
    )


def _try_kept(
    source: Source, quarantine: Quarantine, rows: Sequence[RawRow], *, because: str
) -> Iterator[Trial | Lost]:
    for row in rows:
        body = _kept_body(source, quarantine, row)
        if body is None:
            yield Lost(row, f"origin gone: {because}")
            continue
        origin = row.origin
        page = Page(body=body, request="quarantine", received_at=origin.rejected_at)
        trial = _trial(source, page, source.split(body, origin.window), {0: row}, file=origin.file)
        yield _moved(trial, to=origin.row_number)


def _kept_body(source: Source, quarantine: Quarantine, row: RawRow) -> bytes | None:
    """A page of the row alone, if quarantine keeps all that it takes to make one."""
    itself = row.itself
    if itself is None or source.entity.is_observed or itself.row_digest != itself.payload_digest:
        return None
    payload = quarantine.payload(itself).encode()
    if payload_digest(payload) != itself.payload_digest:
        return None
    for body in (b"[" + payload + b"]", payload):
        try:
            if [bytes(each) for each in source.split(body, itself.window)] == [payload]:
                return body
        except ValueError:
            continue
    return None


def _moved(trial: Trial, *, to: int) -> Trial:
    """As if the only row of the page stood where it had stood in its own."""
    trial.rows = [*[b""] * to, *trial.rows]
    if trial.passing:
        trial.passing = {to: trial.passing[0]}
    trial.rejections = [
        Rejection(
            entity=each.entity,
            rule_id=each.rule_id,
            reason=each.reason,
            payload=each.payload,
            position=".".join([str(to), *each.position.split(".")[1:]]),
        )
        for each in trial.rejections
    ]
    return trial


class _SomeRows:
    """A source that reads only some rows of its pages, one by one.

    :ivar read: the numbers of those that became records, in the order of the records.
    """

    def __init__(self, source: Source, numbers: Collection[int]) -> None:
        self.entity = source.entity
        self.name = source.name
        self.read: list[int] = []
        self._source = source
        self._numbers = numbers

    def pages(self, window: Window) -> AsyncGenerator[Page]:
        """See `Source.pages`."""
        return self._source.pages(window)

    def split(self, body: bytes, window: Window) -> Sequence[bytes]:
        """See `Source.split`."""
        return self._source.split(body, window)

    def split_lines(self, row: bytes) -> Sequence[bytes]:
        """See `Source.split_lines`."""
        return self._source.split_lines(row)

    def required_fields(self) -> frozenset[str]:
        """See `Source.required_fields`."""
        return self._source.required_fields()

    def parse(self, page: Page, window: Window) -> Parsed:
        """See `Source.parse`."""
        parsed = self._source.parse(page, window)
        kept = [place for place, number in enumerate(parsed.positions) if number in self._numbers]
        self.read = [parsed.positions[place] for place in kept]
        return Parsed(
            records=[parsed.records[place] for place in kept],
            positions=self.read,
            line_positions=[parsed.line_positions[place] for place in kept] if parsed.line_positions else [],
            rejections=[each for each in parsed.rejections if int(each.position.partition(".")[0]) in self._numbers],
        )
