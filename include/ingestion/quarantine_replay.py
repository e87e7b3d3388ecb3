"""Replay of quarantine: rejected rows are tried again after a fix, and those that now pass are loaded.

What is replayed ends as if its window had been loaded by today's code from the start: rows that were rejected are
merged like any other; an order of which only lines were rejected is in the warehouse already, in the same version, so
it is merged once more, with all its lines, as a correction.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from include.entities.entity import Entity
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.errors import QualityFailed
from include.ingestion.landing import Landing
from include.ingestion.quality import check_expectations, refuse_critical
from include.ingestion.quarantine import EVERYTHING, OpenWindow, Origin, Quarantine, RejectedRow, Resolution, Selection
from include.ingestion.quarantine_trial import Lost, RawRow, Trial, raw_rows, try_again
from include.ingestion.receipts import Receipts
from include.ingestion.validated import lines_schema
from include.sources.source import Source
from include.warehouse.receipts import Receipt
from include.warehouse.repository import Repository
from include.warehouse.upsert import Rejected

_PARENTS = {entity.child.name: entity.name for entity in ENTITIES.values() if entity.child is not None}


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What came of the open rows of one window; each is counted once.

    :param loaded: now in the warehouse; `superseded`: passes, but a newer version is there already.
    :param failing: still rejected, or held back with what they came with; `lost`: not to be had again.
    :param problems: why rows are lost or were not tried, in words.
    :param receipts: of the loads, already stored.
    """

    entity: str
    source: str
    window: Window
    loaded: int = 0
    superseded: int = 0
    failing: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the window is left open."""
        return not self.failing and not self.lost

    def __str__(self) -> str:
        """One line that can be grepped."""
        return (
            f"quarantine_replay entity={self.entity} source={self.source} window={self.window} loaded={self.loaded} "
            f"superseded={self.superseded} failing={self.failing} lost={self.lost}"
        )

    def lines(self) -> list[str]:
        """What a log says of it: the line above, the receipts, and each problem."""
        problems = [f"quarantine_replay entity={self.entity} window={self.window} problem: {p}" for p in self.problems]
        return [str(self), *map(str, self.receipts), *problems]


def family_of(entity: str) -> frozenset[str]:
    """The entity and its lines.

    :raises KeyError: there is no such entity.
    """
    if entity in _PARENTS:
        return frozenset({entity})
    child = ENTITIES[entity].child
    return frozenset({entity} if child is None else {entity, child.name})


class QuarantineReplay:
    """Tries what is open in quarantine again. It can be killed anywhere and run again.

    :param repository: where rows go that pass; `quarantine`, `receipts`: over the same store.
    :param source_of: gives the source that reads an entity.
    :param run: the caller's name for this run, kept with what fails for a new reason.
    """

    def __init__(
        self,
        repository: Repository,
        quarantine: Quarantine,
        receipts: Receipts,
        clock: Callable[[], datetime],
        *,
        landing: Landing,
        source_of: Callable[[str], Source],
        run: str = "",
    ) -> None:
        self._repository = repository
        self._quarantine = quarantine
        self._receipts = receipts
        self._clock = clock
        self._landing = landing
        self._source_of = source_of
        self._run = run

    def run(self, selection: Selection = EVERYTHING) -> Iterator[Replayed]:
        """Replay the open rows that are meant, oldest window first, each window in a transaction of its own.

        Rows and lines of one order go together, whichever of them was selected.

        :raises LandingUnreachable: landing does not answer; windows before this one are done.
        """
        found: dict[OpenWindow, set[str]] = defaultdict(set)
        for each in self._quarantine.open_windows(selection):
            parent = _PARENTS.get(each.entity, each.entity)
            found[dataclasses.replace(each, entity=parent)].add(each.entity)
        for where, entities in found.items():
            replayed = self._replay_window(where, sorted(entities), selection.rule_id)
            if replayed is not None:
                yield replayed

    def _replay_window(self, where: OpenWindow, entities: Sequence[str], rule_id: str | None) -> Replayed | None:
        """None if somebody else has dealt with it meanwhile."""
        source, problem = self._reader(where)
        try:
            with self._repository.transaction():
                rejected = self._quarantine.take_open(
                    source=where.source,
                    window=where.window,
                    entities=entities,
                    rule_id=rule_id,
                    family=sorted(family_of(where.entity)),
                )
                if not rejected:
                    return None
                if problem is None:
                    return self._replay_rows(source, where, rejected)
        except QualityFailed as error:
            problem = str(error)
        return _untouched(where, rejected, problem)

    def _reader(self, where: OpenWindow) -> tuple[Source, str | None]:
        source = self._source_of(where.entity)
        if source.name != where.source:
            return source, (
                f"they came through the connection `{where.source}`; {where.entity} now come through `{source.name}`, "
                f"whose pages may look different. Set up `{where.source}` again to replay them."
            )
        if not self._receipts.is_loaded(where.entity, where.window):
            return source, (
                "the window itself has not been loaded. Load it first: clear the failed task of its run, or run "
                "`python -m include.ingestion replay`; then replay its quarantine."
            )
        return source, None

    def _replay_rows(self, source: Source, where: OpenWindow, rejected: Sequence[RejectedRow]) -> Replayed:
        replayed = Replayed(entity=where.entity, source=where.source, window=where.window)
        trials = []
        for outcome in self._try(source, where, raw_rows(rejected)):
            if isinstance(outcome, Lost):
                replayed.lost += len(outcome.row.rejected)
                if outcome.reason not in replayed.problems:
                    replayed.problems.append(outcome.reason)
            else:
                trials.append(outcome)
        _refuse_what_is_critical(source.entity, trials, where.window)
        for is_correction in (False, True):
            own = [trial for trial in trials if trial.is_correction is is_correction]
            if own:
                self._merge(source, own, replayed, is_correction=is_correction)
        return replayed

    def _try(self, source: Source, where: OpenWindow, rows: Sequence[RawRow]) -> Iterator[Trial | Lost]:
        """What is rejected again keeps its place in quarantine, with today's reason."""
        now = self._clock()
        for (batch, window), own in itertools.groupby(rows, key=lambda row: (row.origin.batch, row.origin.window)):
            origin = Origin(source=where.source, batch=batch, window=window, run=self._run, now=now)
            with self._quarantine.intake(origin) as intake:
                for outcome in try_again(source, self._landing, self._quarantine, list(own)):
                    if isinstance(outcome, Trial):
                        intake.add(outcome.file, outcome.rejections, rows=outcome.rows, context=outcome.context)
                        outcome.rows = ()
                    yield outcome

    def _merge(self, source: Source, trials: Sequence[Trial], replayed: Replayed, *, is_correction: bool) -> None:
        entity, child, now = source.entity, source.entity.child, self._clock()
        rows = _rows(entity, trials)
        refused = [each.entity for trial in trials for each in trial.rejections]
        receipts = self._repository.upsert(
            entity,
            rows,
            window=replayed.window,
            source=source.name,
            now=now,
            child_rows=_lines(child, trials) if child else None,
            rejected=Rejected(
                rows=refused.count(entity.name), child_rows=refused.count(child.name) if child is not None else 0
            ),
            is_correction=is_correction,
            details={"replay_of": "quarantine"},
        )
        replayed.receipts += receipts
        for as_, settled in self._settled(entity, rows, trials, is_all_current=_is_all_current(receipts[0])).items():
            for receipt in receipts:
                own = [row for row in settled if row.entity == receipt.entity]
                self._quarantine.resolve(own, as_=as_, receipt=receipt, now=now)
            setattr(replayed, as_, getattr(replayed, as_) + len(settled))
            replayed.failing -= len(settled)
        replayed.failing += sum(len(row.rejected) for trial in trials for row in trial.tried)

    def _settled(
        self, entity: Entity, rows: pa.Table, trials: Sequence[Trial], *, is_all_current: bool
    ) -> Mapping[Resolution, list[RejectedRow]]:
        """What passed, by whether it is in the warehouse or a newer version of it."""
        keys = list(zip(*(rows[column].to_pylist() for column in entity.key), strict=True))
        digests = rows["content_digest"].to_pylist()
        stored = {} if is_all_current else self._repository.versions(entity, keys)
        settled: dict[Resolution, list[RejectedRow]] = {"loaded": [], "superseded": []}
        passed = itertools.chain.from_iterable(trial.settled() for trial in trials)
        for key, digest, own in zip(keys, digests, passed, strict=True):
            is_current = is_all_current or stored[key][1] == digest
            settled["loaded" if is_current else "superseded"] += own
        return settled


def _is_all_current(receipt: Receipt) -> bool:
    return receipt.stale == receipt.duplicate == 0


def _rows(entity: Entity, trials: Sequence[Trial]) -> pa.Table:
    return pa.concat_tables([entity.arrow_schema.empty_table(), *(trial.table for trial in trials)])


def _lines(child: Entity, trials: Sequence[Trial]) -> pa.Table:
    lines = [trial.lines for trial in trials if trial.lines is not None]
    return pa.concat_tables([lines_schema(child).empty_table(), *lines])


def _refuse_what_is_critical(entity: Entity, trials: Sequence[Trial], window: Window) -> None:
    """What would have kept a whole batch out is not let in by the back door."""
    results = []
    tables: list[tuple[Entity, Any]] = [(entity, _rows)]
    if entity.child is not None:
        tables.append((entity.child, _lines))
    for each, gather in tables:
        critical = [expectation for expectation in each.expectations if expectation.severity == "critical"]
        rows = gather(each, trials)
        if critical and rows.num_rows:
            results += check_expectations(dataclasses.replace(each, expectations=critical), rows)
    refuse_critical(results, window=window)


def _untouched(where: OpenWindow, rejected: Sequence[RejectedRow], problem: str) -> Replayed:
    return Replayed(
        entity=where.entity,
        source=where.source,
        window=where.window,
        failing=len(rejected),
        problems=[problem],
    )
