"""One Great Expectations suite per entity, over a validated batch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import pyarrow as pa
from psycopg import Connection
from psycopg.types.json import Jsonb

from include.entities.entity import Entity, Expectation
from include.entities.window import Window
from include.ingestion.errors import QualityFailed

SLICE_ROWS = 200_000
_NUMBER = "regulars_number"
ROW_BY_ROW = frozenset(
    {
        "ExpectColumnValueLengthsToBeBetween",
        "ExpectColumnValueLengthsToEqual",
        "ExpectColumnValuesToBeBetween",
        "ExpectColumnValuesToBeInSet",
        "ExpectColumnValuesToMatchRegex",
        "ExpectColumnValuesToNotBeNull",
    }
)
"""Expectations about single rows: what they tell of slices adds up to what they tell of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityResult:
    """The outcome of one expectation over one batch.

    :param row_count: rows looked at.
    :param failed_count: rows that fail it; 0 for an expectation over the whole table.
    """

    entity: str
    expectation: Expectation
    is_success: bool
    row_count: int
    failed_count: int


def columns_looked_at(entity: Entity) -> list[str]:
    """The columns that the entity's expectations are about; rows need no others to be checked."""
    return _columns_of(entity.expectations, entity.arrow_schema)


def check_expectations(entity: Entity, rows: pa.Table | pa.RecordBatchReader) -> list[QualityResult]:
    """Run the entity's expectations over `rows` and give every outcome.

    An empty batch is not looked at. Great Expectations takes seconds to import, so only this function does. It is given
    slices of `SLICE_ROWS` rows and only the columns that it is asked about, so that memory stays flat; what each slice
    told is put together to what it tells of the whole. An expectation that is not about single rows needs its columns
    whole.

    :raises RuntimeError: an expectation could not be evaluated; a typing mistake in an entity, not bad data.
    """
    if not entity.expectations:
        return []
    by_row = [each for each in entity.expectations if each.kind in ROW_BY_ROW]
    of_whole = [each for each in entity.expectations if each.kind not in ROW_BY_ROW]
    tallies = {id(each): _Tally() for each in entity.expectations}
    row_count, kept = 0, []
    library: _Library | None = None
    for part in _slices(rows, _columns_of(entity.expectations, rows.schema)):
        library = library or _Library(entity)
        row_count += part.num_rows
        for expectation, found in library.outcomes(by_row, part):
            tallies[id(expectation)].add(found)
        if of_whole:
            kept.append(part.select(_columns_of(of_whole, part.schema)))
    if library is None:
        return []
    for expectation, found in library.outcomes(of_whole, pa.concat_tables(kept)) if kept else ():
        tallies[id(expectation)].take(found)
    return [tallies[id(each)].result(entity, each, row_count) for each in entity.expectations]


class _Library:
    """Great Expectations, ready to look at slices."""

    def __init__(self, entity: Entity) -> None:
        self._definition = _definition()
        self._entity = entity

    def outcomes(self, wanted: Sequence[Expectation], rows: pa.Table) -> list[tuple[Expectation, Any]]:
        """What it says of each expectation.

        :raises RuntimeError: one could not be evaluated.
        """
        from great_expectations import expectations as kinds
        from great_expectations.core.expectation_suite import ExpectationSuite

        if not wanted:
            return []
        suite = ExpectationSuite(name=self._entity.name)
        for number, expectation in enumerate(wanted):
            suite.add_expectation(getattr(kinds, expectation.kind)(**expectation.arguments, meta={_NUMBER: number}))
        batch = self._definition.get_batch(batch_parameters={"dataframe": _frame(rows)})
        results = batch.validate(suite, result_format="BASIC").results
        outcomes = []
        for found in results:  # sorted by column, not as asked for
            expectation = wanted[found.expectation_config.meta[_NUMBER]]
            raised = _exception_in(found.exception_info or {})
            if raised is not None:
                raise RuntimeError(
                    f"{self._entity.name}: the expectation {expectation.kind} {dict(expectation.arguments)} could not "
                    f"be evaluated: {raised}. Mend it in the entity's file."
                )
            outcomes.append((expectation, found))
        return outcomes


@cache
def _definition() -> Any:
    """What a table is handed over through; once per process, for it takes a quarter of a second."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]  # the documented form
    assets = context.data_sources.add_pandas("batch").add_dataframe_asset("rows")
    return assets.add_batch_definition_whole_dataframe("all")


class _Tally:
    """What slice after slice told of one expectation."""

    def __init__(self) -> None:
        self._considered = self._failed = 0
        self._of_whole: bool | None = None

    def add(self, found: Any) -> None:
        """Take in a slice, counted as Great Expectations does: nulls only if the expectation is about them."""
        self._considered += found.result["element_count"] - (found.result.get("missing_count") or 0)
        self._failed += found.result["unexpected_count"]

    def take(self, found: Any) -> None:
        """Take what was told of the whole."""
        self._of_whole = bool(found.success)
        self._failed = int(found.result.get("unexpected_count", 0) or 0)

    def result(self, entity: Entity, expectation: Expectation, row_count: int) -> QualityResult:
        """The outcome over all rows."""
        is_success = self._of_whole
        if is_success is None:
            mostly = expectation.arguments.get("mostly", 1)
            is_success = not self._considered or (self._considered - self._failed) / self._considered >= mostly
        return QualityResult(
            entity=entity.name,
            expectation=expectation,
            is_success=is_success,
            row_count=row_count,
            failed_count=self._failed,
        )


def _columns_of(expectations: Sequence[Expectation], schema: pa.Schema) -> list[str]:
    """The columns that the expectations name, in the table's order; one at least, and all where none is named."""
    named: set[str] = set()
    for each in expectations:
        own = {each.arguments[key] for key in ("column", "column_A", "column_B") if key in each.arguments}
        own |= set(each.arguments.get("column_list", ()))
        if not own:
            return schema.names
        named |= own
    return [name for name in schema.names if name in named] or schema.names[:1]


def _slices(rows: pa.Table | pa.RecordBatchReader, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some columns, `SLICE_ROWS` rows at a time and up to one batch more; no empty slice."""
    gathered: list[pa.RecordBatch] = []
    count = 0
    for batch in rows.to_batches(max_chunksize=SLICE_ROWS) if isinstance(rows, pa.Table) else rows:
        if batch.num_rows:
            gathered.append(batch.select(list(columns)))
            count += batch.num_rows
        if count >= SLICE_ROWS:
            yield pa.Table.from_batches(gathered)
            gathered, count = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered)


def _exception_in(info: Mapping[str, Any]) -> str | None:
    """The message of an exception: told for the expectation itself, or for one of the metrics below it."""
    for told in (info, *(each for each in info.values() if isinstance(each, Mapping))):
        if told.get("raised_exception"):
            return str(told.get("exception_message"))
    return None


def keep_results(
    conn: Connection, results: Sequence[QualityResult], *, batch: str, window: Window, now: datetime
) -> None:
    """Store outcomes in `ops.quality_results`, in the caller's transaction."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO ops.quality_results (
                entity, window_start, window_end, batch, expectation, severity, is_success, row_count,
                failed_count, details, checked_at
            )
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    result.entity, window.start, window.end, batch, result.expectation.kind,
                    result.expectation.severity, result.is_success, result.row_count, result.failed_count,
                    Jsonb(dict(result.expectation.arguments)), now,
                )
                for result in results
            ],
        )  # fmt: skip


def refuse_critical(results: Sequence[QualityResult], *, window: Window) -> None:
    """Raise for critical expectations that do not hold.

    :raises QualityFailed: names each of them.
    """
    failed = [r for r in results if not r.is_success and r.expectation.severity == "critical"]
    if failed:
        said = "; ".join(
            f"{r.entity}: {r.expectation.kind} {dict(r.expectation.arguments)} fails for {r.failed_count} of "
            f"{r.row_count} rows"
            for r in failed
        )
        raise QualityFailed(
            f"The batch of window {window} breaks {len(failed)} critical expectation(s): {said}. Nothing was loaded; "
            "the raw rows are kept in landing. Correct the source or the expectation, then clear this task."
        )


def _frame(rows: pa.Table) -> Any:
    """As pandas, amounts as floats: the checks compare bounds and need no exact money."""
    fields = [pa.field(field.name, pa.float64()) if pa.types.is_decimal(field.type) else field for field in rows.schema]
    return rows.cast(pa.schema(fields)).to_pandas()
