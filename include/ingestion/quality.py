"""One Great Expectations suite per entity, over a validated batch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from psycopg import Connection
from psycopg.types.json import Jsonb

from include.entities.entity import Entity, Expectation
from include.entities.window import Window
from include.ingestion.errors import QualityFailed


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


def check_expectations(entity: Entity, rows: pa.Table) -> list[QualityResult]:
    """Run the entity's expectations over `rows` and give every outcome.

    An empty batch is not looked at. Great Expectations takes seconds to import, so only this function does.

    :raises RuntimeError: an expectation could not be evaluated; a typing mistake in an entity, not bad data.
    """
    if rows.num_rows == 0 or not entity.expectations:
        return []
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations
    from great_expectations import expectations as library
    from great_expectations.core.expectation_suite import ExpectationSuite

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]  # the documented form
    definition = (
        context.data_sources.add_pandas("batch").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    suite = ExpectationSuite(name=entity.name)
    for expectation in entity.expectations:
        suite.add_expectation(getattr(library, expectation.kind)(**expectation.arguments))
    batch = definition.get_batch(batch_parameters={"dataframe": _frame(rows)})
    outcome = batch.validate(suite, result_format="BASIC")
    results = []
    for expectation, found in zip(entity.expectations, outcome.results, strict=True):
        raised = _exception_in(found.exception_info or {})
        if raised is not None:
            raise RuntimeError(
                f"{entity.name}: the expectation {expectation.kind} {dict(expectation.arguments)} could not be "
                f"evaluated: {raised}. Mend it in the entity's file."
            )
        results.append(
            QualityResult(
                entity=entity.name,
                expectation=expectation,
                is_success=bool(found.success),
                row_count=rows.num_rows,
                failed_count=int(found.result.get("unexpected_count", 0) or 0),
            )
        )
    return results


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
