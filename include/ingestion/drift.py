"""Schema drift: what a source sends, compared with what it is known to send.

Not every row is looked at: of a window's first pages and of every tenth after them some rows, spread evenly, and every
row that something was rejected of. What comes rarely may be noticed a few windows late, and a share of rows is an
estimate; how many rows lack a field without which nothing can be read is exact, because all of those are rejected.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from include.entities.window import Window
from include.ingestion.drift_example import example_of
from include.ingestion.drift_tally import Field, FieldTally
from include.ingestion.errors import RequiredFieldVanished
from include.sources.source import Page, Rejection

log = logging.getLogger(__name__)

FIRST_PAGES = 20
PAGE_STEP = 10
PAGE_SHARE = 0.01
PAGE_ROWS = 10
FIRST_SIGHT_ROWS = 100
MOST_SUSPECTS = 5_000
VANISHED_SHARE = 0.5
"""A required field has vanished when more of the rows lack it; in fewer, only those are rejected."""
VANISHED_ROWS = 3
"""And when at least so many do, or half of all: of what is rare, one bad row may be all there is."""
REGULAR_SHARE = 0.95
NOTABLE_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownField:
    """A field that a source sends.

    :param path: such as `total`, `billing.country`, `line_items[].total`.
    :param kinds: of its values: `string`, `number`, `boolean`, `object`, `array`. None while it has only been null.
    :param is_added: it was not there when the source was met first.
    :param present: how many of the rows looked at had it, `possible`: of how many that could have.
    :param first_seen_at: when the page came that had it first, `last_seen_at`: last. UTC.
    """

    path: str
    kinds: frozenset[str]
    is_added: bool
    present: int
    possible: int
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """One change of what a source sends, as one batch shows it.

    :param kind: of value that is new, for `retyped`; else empty.
    :param detail: what changed, in words; `example`: a value, personal data hidden.
    :param row_share: of the rows looked at that show it, 0 to 1.
    """

    source: str
    entity: str
    field: str
    change: Literal["added", "missing", "retyped"]
    kind: str
    detail: str
    example: str
    row_share: float
    batch: str
    first_seen_at: datetime
    last_seen_at: datetime

    def __str__(self) -> str:
        """One line that can be grepped."""
        return (
            f"schema_change entity={self.entity} field={self.field} change={self.change} source={self.source} "
            f"row_share={self.row_share:.4f} detail={self.detail!r} batch={self.batch}"
        )


class FieldWatch:
    """Watches the pages of one batch go by.

    :param known: what the source is known to send, by path; empty if it is met for the first time.
    """

    def __init__(self, known: Mapping[str, KnownField]) -> None:
        self._known = known
        self._tally = FieldTally()
        self._pages = self._suspects = 0
        self._times: list[datetime] = []

    def is_due(self, rejections: Sequence[Rejection]) -> bool:
        """Whether the next page is to be looked at."""
        self._pages += 1
        return bool(rejections) or self._is_sampled

    def look(self, page: Page, rows: Sequence[bytes], rejections: Sequence[Rejection]) -> None:
        """Look at some rows of the page that was due, and at those that something was rejected of."""
        self._times.append(page.received_at)
        suspects = sorted({int(each.position.partition(".")[0]) for each in rejections})
        chosen = _spread(len(suspects), max(MOST_SUSPECTS - self._suspects, PAGE_ROWS))
        for place in chosen:
            self._tally.look(bytes(rows[suspects[place]]), len(suspects) / len(chosen))
        self._suspects += len(chosen)
        if not self._is_sampled:
            return
        is_suspect = set(suspects)
        others = [number for number in range(len(rows)) if number not in is_suspect] if suspects else range(len(rows))
        is_first_page = self._pages <= FIRST_PAGES
        wanted = FIRST_SIGHT_ROWS if is_first_page and not self._known else PAGE_ROWS
        chosen = _spread(len(others), max(int(len(rows) * PAGE_SHARE), wanted))
        pages = 1 if is_first_page else PAGE_STEP
        for place in chosen:
            self._tally.look(bytes(rows[others[place]]), pages * len(others) / len(chosen))

    @property
    def _is_sampled(self) -> bool:
        return self._pages <= FIRST_PAGES or self._pages % PAGE_STEP == 0

    def changes(self, *, source: str, entity: str, batch: str) -> list[SchemaChange]:
        """What the batch shows that differs from what is known; nothing at the very first sight."""
        if not self._known or not self._times:
            return []
        met = {each.path: each for each in self._tally.fields()}
        found = [*self._added(met), *self._retyped(met), *self._missing(met)]
        return [
            SchemaChange(
                source=source,
                entity=entity,
                field=path,
                change=change,
                kind=kind,
                detail=detail,
                example=example,
                row_share=min(share, 1.0),
                batch=batch,
                first_seen_at=min(self._times),
                last_seen_at=max(self._times),
            )
            for path, change, kind, detail, example, share in found
        ]

    def met(self, changes: Iterable[SchemaChange]) -> list[KnownField]:
        """What the batch adds to what is known, with counts of this batch alone.

        A field that is missing is not counted, so that it is missed until it comes back. What lies inside a value of
        another kind than ever before is not learned.
        """
        missing = {each.field for each in changes if each.change == "missing"}
        added = {each.field for each in changes if each.change == "added"}
        if not self._times:
            return []
        first, last = min(self._times), max(self._times)
        found = []
        for each in self._tally.fields():
            if each.path not in missing and not self._is_inside_a_retyped(each):
                found.append(
                    KnownField(
                        path=each.path,
                        kinds=frozenset(each.kinds),
                        is_added=each.path in added,
                        present=round(each.present),
                        possible=round(each.possible),
                        first_seen_at=first,
                        last_seen_at=last,
                    )
                )
        return sorted(found, key=lambda each: each.path)

    def refuse_vanished(self, required: Iterable[str], *, entity: str, window: Window) -> None:
        """Raise if the rows lack a field without which they cannot be read.

        :raises RequiredFieldVanished: names the field and the share of rows.
        """
        met = {each.path: each for each in self._tally.fields()}
        lacking = {path: self._lacking(path, met) for path in sorted(required)}
        fewest = min(VANISHED_ROWS, VANISHED_SHARE * self._tally.possible(""))
        vanished = [
            f"`{path}` in {share:.1%}"
            for path, share in lacking.items()
            if share > VANISHED_SHARE and share * self._tally.possible(_within(path, self._known, met)) >= fewest
        ]
        if vanished:
            raise RequiredFieldVanished(
                f"{entity}: the source no longer sends {', '.join(vanished)} of the rows (window {window}), and "
                "without it they cannot be read. Nothing was loaded; the rows are in quarantine and in landing. See "
                "ops.schema_changes for since when. If the source lost it by mistake, have it mended and clear the "
                "extract task; if it changed for good, mend how it is read (include/sources), then clear this task."
            )

    def _lacking(self, path: str, met: Mapping[str, Field]) -> float:
        """The share of the objects that could have a field and do not."""
        within = _within(path, self._known, met)
        possible = self._tally.possible(within)
        return 1 - (met[path].present if path in met else 0) / possible if possible else 0.0

    def _is_inside_a_retyped(self, field: Field) -> bool:
        container = self._known.get(field.within)
        return container is not None and bool(container.kinds) and not container.kinds & {"object", "array"}

    def _added(self, met: Mapping[str, Field]) -> Iterator[tuple]:
        parents = {_within(path, self._known, met) for path in self._known}
        for path, each in met.items():
            known = self._known.get(path)
            if (known is None and each.within in parents) or (known is not None and known.is_added):
                kinds = " or ".join(sorted(each.kinds)) or "null"
                yield path, "added", "", f"{kinds}, unknown before", _example(each), each.present / each.possible

    def _retyped(self, met: Mapping[str, Field]) -> Iterator[tuple]:
        for path, each in met.items():
            known = self._known.get(path)
            if known is None or not known.kinds:
                continue
            for kind in sorted(each.kinds - known.kinds):
                detail = f"{kind}, was {' or '.join(sorted(known.kinds))}"
                share = each.seen.weights[kind] / each.possible
                yield path, "retyped", kind, detail, example_of(path, each.seen.examples[kind]), share

    def _missing(self, met: Mapping[str, Field]) -> Iterator[tuple]:
        for path, known in self._known.items():
            usual = known.present / known.possible if known.possible else 0.0
            lacking = self._lacking(path, met)
            is_older = known.first_seen_at > max(self._times)
            if usual >= REGULAR_SHARE and lacking >= 1 - usual + NOTABLE_SHARE and not is_older:
                yield path, "missing", "", f"was in {usual:.1%} of the rows", "", lacking


def log_changes(changes: Iterable[SchemaChange]) -> None:
    """One line each; not the example."""
    for change in changes:
        log.warning("%s", change)


def _example(each: Field) -> str:
    raw = next((raw for kind, raw in each.seen.examples.items() if kind != "null"), b"null")
    return example_of(each.path, raw)


def _within(path: str, known: Mapping[str, KnownField], met: Mapping[str, Field]) -> str:
    """Which field it lies in, empty for a field of the row: names may hold points themselves."""
    if path in met:
        return met[path].within
    container, separator, _ = path.partition("[].")
    if separator:
        return container
    container, separator, _ = path.partition(".")
    kinds = known[container].kinds if container in known else met[container].kinds if container in met else set()
    return container if separator and "object" in kinds else ""


def _spread(count: int, wanted: int) -> Sequence[int]:
    """At most so many numbers below `count`, spread evenly."""
    if count <= wanted:
        return range(count)
    return [int((each + 0.5) * count / wanted) for each in range(wanted)]
