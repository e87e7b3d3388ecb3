"""What must hold after a demo run; each check counts by another way than the code it checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.local.account import OUTCOMES
from include.local.runs import TaskResult

Sums = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that holds or does not, with the figures it was judged by."""

    name: str
    holds: bool
    detail: str


def all_checks(
    *,
    tasks: list[TaskResult],
    upserts: Sums,
    builds: Sums,
    before: Mapping[str, int],
    after: Mapping[str, int],
    health: Mapping[str, Any],
) -> list[Check]:
    """Every check of a demo run.

    :param upserts: summed upsert receipts of this run, per entity.
    :param before: rows per table before the run; `after` those after it.
    :param health: what the sandbox says its shop holds.
    """
    skipped = sum(task.state == "skipped" for task in tasks)
    failed = [f"{task.dag_id}.{task.task_id} ({task.state})" for task in tasks if not task.is_success]
    checks = [
        Check(
            name="every task ended well",
            holds=bool(tasks) and not failed,
            detail=f"{len(tasks) - len(failed) - skipped} of {len(tasks)}"
            + (f", {skipped} skipped" if skipped else "")
            + (f"; not: {', '.join(failed)}" if failed else ""),
        ),
        _receipts_close({**upserts, **{f"build {name}": sums for name, sums in builds.items()}}),
        _tables_grew_as_told(upserts, before=before, after=after),
        _all_records_came(upserts, health=health),
    ]
    if "lines" in health:
        checks.append(_all_lines_came(upserts, lines=health["lines"]))
    return checks


def _receipts_close(sums: Sums) -> Check:
    wrong = [
        f"{name}: received {each['received']}, accounted for {sum(each[outcome] for outcome in OUTCOMES)}"
        for name, each in sums.items()
        if each["received"] != sum(each[outcome] for outcome in OUTCOMES)
    ]
    return Check(
        name="every receipt closes",
        holds=bool(sums) and not wrong,
        detail="; ".join(wrong) or f"{sum(each['receipts'] for each in sums.values())} receipts",
    )


def _tables_grew_as_told(upserts: Sums, *, before: Mapping[str, int], after: Mapping[str, int]) -> Check:
    wrong = []
    for entity, each in upserts.items():
        table = next((name for name in after if name.split(".") in (["shop", entity], ["signals", entity])), None)
        if table is None:
            wrong.append(f"there is no table for {entity}")
            continue
        grown, told = after[table] - before.get(table, 0), each["inserted"] - each["deleted"]
        if grown != told:
            wrong.append(f"{table} grew by {grown} rows, its receipts say {told}")
    return Check(
        name="tables grew by what the receipts say",
        holds=not wrong,
        detail="; ".join(wrong) or f"{len(upserts)} tables",
    )


def _all_records_came(upserts: Sums, *, health: Mapping[str, Any]) -> Check:
    """Every record that the shop says it has was received; more would be pages that repeat, counted as duplicates."""
    wrong, seen = [], 0
    for entity in ("customers", "products", "orders", "refunds", "events"):
        has, got = health.get(entity), upserts.get(entity, {})
        if not isinstance(has, int):
            continue
        seen += has
        distinct = got.get("received", 0) - got.get("duplicate", 0)
        if distinct != has:
            wrong.append(f"{entity}: the shop has {has}, received {distinct}")
    return Check(
        name="every record of the shop was received", holds=not wrong, detail="; ".join(wrong) or f"{seen} records"
    )


def _all_lines_came(upserts: Sums, *, lines: int) -> Check:
    received = {name: upserts.get(name, {}).get("received", 0) for name in ("order_lines", "refund_lines")}
    return Check(
        name="every line of the file is accounted for",
        holds=sum(received.values()) == lines,
        detail=f"{lines} lines in the file = {received['order_lines']} order lines + "
        f"{received['refund_lines']} refund lines",
    )
