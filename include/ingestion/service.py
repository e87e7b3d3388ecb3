"""From an API's answer to a merged table: extract, validate, load."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from datetime import UTC, datetime

from psycopg import Connection

from include.entities.entity import Entity
from include.entities.window import Window
from include.ingestion.ahead import read_ahead
from include.ingestion.drift import FieldWatch, log_changes
from include.ingestion.judge import judge_pages
from include.ingestion.landing import BatchWriter, Landing
from include.ingestion.quality import QualityResult, check_expectations, columns_looked_at, refuse_critical
from include.ingestion.quarantine import Origin, Quarantine
from include.ingestion.quarantine_in_postgres import PostgresQuarantine
from include.ingestion.receipts import PostgresReceipts, Receipts
from include.ingestion.rejection_limit import refuse_too_many
from include.ingestion.validated import Verdict, read_verdict, reading_rows, write_verdict, writing_rows
from include.sources.source import Page, Source
from include.warehouse.receipts import Receipt
from include.warehouse.repository import PostgresRepository, Repository
from include.warehouse.upsert import Rejected

Clock = Callable[[], datetime]
PAGES_AHEAD = 20
PAGES_WRITTEN_AT_ONCE = 4


class IngestionService:
    """Brings one entity in. Each step is a function of a window, can be killed anywhere and run again.

    :param source: where the rows come from.
    :param repository: where accepted rows go; `quarantine`: where the others go; `receipts`: the accounts of both.
        All three over one store.
    :param clock: gives the time of writing, UTC.
    :param landing: where answers are kept as they came.
    :param run: the caller's name for this run, kept with what it rejects.
    """

    def __init__(
        self,
        source: Source,
        repository: Repository,
        quarantine: Quarantine,
        receipts: Receipts,
        clock: Clock,
        *,
        landing: Landing,
        run: str = "",
    ) -> None:
        self._source = source
        self._repository = repository
        self._quarantine = quarantine
        self._receipts = receipts
        self._clock = clock
        self._landing = landing
        self._run = run

    async def run(self, window: Window) -> list[Receipt]:
        """Extract, validate and load one window.

        :returns: the receipts of all three.
        """
        extracted = await self.extract(window)
        assert extracted.batch is not None
        batch = extracted.batch
        return [extracted, *self.validate(window, batch=batch), *self.load(window, batch=batch)]

    async def extract(self, window: Window) -> Receipt:
        """Read all pages of the window and keep them as they came; a page is written while the next are on their way.

        :returns: a receipt, already stored, whose `batch` names the landed batch; rows are counted, not yet judged.
        :raises SourceError: a page could not be had; no batch appears.
        :raises LandingNotWritable: landing is full or read-only; no batch appears.
        """
        started, now = time.monotonic(), self._clock()
        source = self._source
        batch = self._landing.open_batch(source=source.name, entity=source.entity.name, window=window, now=now)
        try:
            pages, rows = await self._land(window, batch)
            name = await asyncio.to_thread(batch.close)
        except BaseException:
            batch.discard()
            raise
        receipt = Receipt(
            step="extract",
            entity=source.entity.name,
            window=window,
            received=rows,
            passed=rows,
            batch=name,
            details={"pages": pages},
            seconds=time.monotonic() - started,
        )
        self._receipts.write(receipt, now=now)
        return receipt

    async def _land(self, window: Window, batch: BatchWriter) -> tuple[int, int]:
        """Number of pages, number of rows."""
        pages = rows = 0
        writing: deque[asyncio.Task[int]] = deque()

        def write(number: int, page: Page) -> int:
            count = len(self._source.split(page.body, window)) - page.repeated_rows
            batch.write_at(number, page, rows=count)
            return count

        try:
            async with aclosing(self._source.pages(window)) as coming:
                async for page in coming:
                    if len(writing) == PAGES_WRITTEN_AT_ONCE:
                        rows += await writing.popleft()
                    pages += 1
                    writing.append(asyncio.create_task(asyncio.to_thread(write, pages, page)))
        finally:
            written = await asyncio.gather(*writing, return_exceptions=True)
            failed = next((outcome for outcome in written if isinstance(outcome, BaseException)), None)
            if failed is not None:
                raise failed
        rows += sum(outcome for outcome in written if isinstance(outcome, int))
        return pages, rows

    def validate(self, window: Window, *, batch: str) -> list[Receipt]:
        """Turn a landed batch into typed rows beside it, quarantine what does not fit, check the expectations.

        Rejected rows, results and receipts are written in one transaction, also when an expectation fails.

        :returns: the receipts, already stored: the entity's, then its child's.
        :raises ReceiptDoesNotClose: more or fewer rows came out than were landed.
        :raises LandingDamaged: the batch is not what was landed.
        :raises LandingNotWritable: the validated rows cannot be written beside it.
        :raises RequiredFieldVanished: the source no longer sends what its rows cannot be read without.
        :raises TooManyRejected: more rows were rejected than the entity allows.
        :raises QualityFailed: a critical expectation does not hold; as after the two above, the batch cannot be loaded.
        """
        started, now = time.monotonic(), self._clock()
        source, entity = self._source, self._source.entity
        landed = self._landing.manifest(batch).rows
        self._landing.remove(batch, "verdict.json")
        with self._repository.transaction():
            watch = FieldWatch(self._receipts.known_fields(source.name, entity.name))
            verdict = self._judge(window, batch=batch, now=now, watch=watch)
            results = self._check(batch)
            self._receipts.keep_quality_results(results, batch=batch, window=window, now=now)
            receipts = []
            for each in _with_lines(entity):
                passed, rejected = verdict.passed[each.name], verdict.rejected[each.name]
                receipt = Receipt(
                    step="validate",
                    entity=each.name,
                    window=window,
                    received=landed if each is entity else passed + rejected,
                    passed=passed,
                    quarantined=rejected,
                    batch=batch,
                    details={"rejected_by_rule": verdict.reasons[each.name]},
                    seconds=time.monotonic() - started,
                )
                self._receipts.write(receipt, now=now)
                receipts.append(receipt)
            changes = watch.changes(source=source.name, entity=entity.name, batch=batch)
            new = self._receipts.keep_fields(watch.met(changes), changes, source=source.name, entity=entity.name)
        log_changes(new)
        watch.refuse_vanished(source.required_fields(), entity=entity.name, window=window)
        received = {receipt.entity: receipt.received for receipt in receipts}
        refuse_too_many(entity, window=window, received=received, reasons=verdict.reasons)
        refuse_critical(results, window=window)
        write_verdict(self._landing, batch, verdict)
        return receipts

    def _judge(self, window: Window, *, batch: str, now: datetime, watch: FieldWatch) -> Verdict:
        """Some pages at a time, while the next are read and the rows of the last are written."""
        source, entity = self._source, self._source.entity
        passed: Counter[str] = Counter({each.name: 0 for each in _with_lines(entity)})
        reasons: dict[str, Counter[str]] = {each.name: Counter() for each in _with_lines(entity)}
        origin = Origin(source=source.name, batch=batch, window=window, run=self._run, now=now)
        with self._quarantine.intake(origin) as intake, writing_rows(self._landing, batch, entity) as writer:
            pages = read_ahead(self._landing.pages(batch), count=PAGES_AHEAD)
            for judged in judge_pages(source, pages, window):
                writer.write(judged)
                passed[entity.name] += judged.rows.num_rows
                if entity.child is not None and judged.lines is not None:
                    passed[entity.child.name] += judged.lines.num_rows
                for file, page in judged.pages.items():
                    rejections = judged.rejections.get(file, [])
                    if not watch.is_due(rejections):
                        continue
                    rows = source.split(page.body, window)
                    watch.look(page, rows, rejections)
                    intake.add(file, rejections, rows=rows, context=page.context)
                    for rejection in rejections:
                        reasons[rejection.entity][rejection.rule_id] += 1
        return Verdict(
            passed=dict(passed),
            rejected={name: own.total() for name, own in reasons.items()},
            reasons={name: dict(own) for name, own in reasons.items()},
        )

    def _check(self, batch: str) -> list[QualityResult]:
        results = []
        for each in _with_lines(self._source.entity):
            with reading_rows(self._landing, batch, each, columns=columns_looked_at(each)) as rows:
                results += check_expectations(each, rows)
        return results

    def load(self, window: Window, *, batch: str) -> list[Receipt]:
        """Merge what validation let through, in one transaction.

        :returns: the receipts of the whole window, already stored: what was landed = what was merged + quarantined.
        :raises NotValidated: the batch has not passed validation.
        """
        entity, child = self._source.entity, self._source.entity.child
        rejected = read_verdict(self._landing, batch).rejected
        with ExitStack() as files:
            rows, lines = (
                files.enter_context(reading_rows(self._landing, batch, each)) if each else None
                for each in (entity, child)
            )
            assert rows is not None
            return self._repository.upsert(
                entity,
                rows,
                window=window,
                source=self._source.name,
                now=self._clock(),
                child_rows=lines,
                rejected=Rejected(rows=rejected[entity.name], child_rows=rejected[child.name] if child else 0),
                batch=batch,
            )


def _with_lines(entity: Entity) -> list[Entity]:
    return [entity] if entity.child is None else [entity, entity.child]


def service_in_postgres(
    conn: Connection, source: Source, *, landing: Landing, clock: Clock | None = None, run: str = ""
) -> IngestionService:
    """The service over the warehouse that a connection leads to.

    :param clock: the machine's, unless another is given.
    """
    return IngestionService(
        source,
        PostgresRepository(conn),
        PostgresQuarantine(conn),
        PostgresReceipts(conn),
        clock or (lambda: datetime.now(UTC)),
        landing=landing,
        run=run,
    )
