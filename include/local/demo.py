"""`make demo`: the whole platform once, from the shop's API to the churn model, and the account of it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from include.entities.registry import ENTITIES
from include.features.registry import FEATURE_VIEWS
from include.local.account import database_bytes, last_receipt, rejections, sums, table_counts
from include.local.checks import Sums, all_checks
from include.local.model_report import model_report
from include.local.places import Places
from include.local.progress import Progress
from include.local.runs import TaskResult, run_dags, skip_reason
from include.local.shop import Shop
from include.local.stack import Stack, start_stack, stop_airflow_and_sandbox
from include.local.summary import print_summary
from include.local.turns import my_turn
from include.warehouse.connection import connect_warehouse

COUNTED = ("received", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined")
STEPS = (
    ["market_signals"],
    ["shop_to_features"],
    ["churn_model", "lifetime_value", "product_recommendations", "analytics_marts"],
    ["customer_scores"],
)
"""One after the other: what features are built from is there when they are, so it counts as known at its time."""


def demo(*, places: Places, shop: Shop, progress: Progress) -> bool:
    """Run the demo and print its summary; Postgres goes on running, everything else is stopped.

    :returns: whether every task and every check ended well.
    :raises LocalStackError: it could not run to its end.
    """
    with my_turn(places, command="make demo"):
        stack = start_stack(places=places, shop=shop, progress=progress, is_open=False)
        try:
            with connect_warehouse(stack.warehouse_dsn) as conn:
                before, receipt_before = table_counts(conn), last_receipt(conn)
            tasks = _run(stack, places=places, progress=progress)
        finally:
            progress.say("stopping Airflow and the sandbox")
            stop_airflow_and_sandbox(places)
        summary = summarise(stack, tasks=tasks, before=before, receipt_before=receipt_before, places=places)
        summary["seconds"] = round(progress.seconds, 1)
        places.summary.write_text(json.dumps(summary, indent=1, default=str) + "\n")
    print_summary(summary, progress)
    return summary["ok"]


def _run(stack: Stack, *, places: Places, progress: Progress) -> list[TaskResult]:
    conf = {"start": stack.health["start"], "end": stack.health["end"]}

    def run(dag_ids: list[str]) -> list[TaskResult]:
        return run_dags(dag_ids, conf=conf, api=stack.api, parts=stack.parts, places=places, progress=progress)

    tasks: list[TaskResult] = []
    for dag_ids in STEPS:
        if all(task.is_success for task in tasks):
            tasks += run(dag_ids)
    return tasks


def summarise(
    stack: Stack, *, tasks: list[TaskResult], before: dict[str, int], receipt_before: int, places: Places
) -> dict[str, Any]:
    """The account of a run, by the warehouse's own tables.

    :param before: rows per table before the run.
    :param receipt_before: number of the newest receipt before the run.
    """
    with connect_warehouse(stack.warehouse_dsn) as conn:
        after = table_counts(conn)
        upserts, builds = (
            sums(conn, step="upsert", after=receipt_before),
            sums(conn, step="build", after=receipt_before),
        )
        rejected, size = rejections(conn), database_bytes(conn)
        was_judged = any(task.task_id == "promote" and task.state == "success" for task in tasks)
        model = model_report(conn, start=stack.health["start"], end=stack.health["end"]) if was_judged else None
    checks = all_checks(tasks=tasks, upserts=upserts, builds=builds, before=before, after=after, health=stack.health)
    data = stack.shop.data
    described = f"The export {data.name}" if data else f"A simulated shop of {stack.shop.customers:,} customers"
    return {
        "ok": all(check.holds for check in checks),
        "finished_at": datetime.now(UTC).isoformat(),
        "seconds": None,
        "is_repeat": before.get("shop.orders", 0) > 0,
        "is_nothing_new": bool(upserts)
        and all(each["inserted"] == each["updated"] == each["deleted"] == 0 for each in upserts.values()),
        "is_every_table_as_before": {name: before.get(name, 0) for name in after} == after,
        "shop": {
            "kind": stack.health["shop"],
            "description": described,
            "data": str(data) if data else None,
            "database": stack.shop.database,
            "health": stack.health,
        },
        "window": {"start": stack.health["start"], "end": stack.health["end"]},
        "steps": [{**asdict(task), "seconds": round(task.seconds, 2)} for task in tasks],
        "entities": {name: upserts[name] for name in _in_order(upserts)},
        "lines": _lines(stack, upserts),
        "rejected": rejected,
        "features": {
            view: {
                **built,
                "history_rows": _rows(after, rf"features\.{view}_v\d+"),
                "online_rows": _rows(after, rf"features\.{view}_v\d+_online"),
            }
            for view, built in ((view, builds[view]) for view in FEATURE_VIEWS if view in builds)
        },
        "model": model,
        "model_skipped_because": skip_reason([task for task in tasks if task.dag_id == "churn_model"], places),
        "checks": [asdict(check) for check in checks],
        "tables": {table: {"rows_before": before.get(table, 0), "rows": rows} for table, rows in after.items()},
        "database_bytes": size,
        "dsn_without_password": _without_password(stack.warehouse_dsn),
    }


def _rows(counts: dict[str, int], tables: str) -> int:
    """Rows of all tables whose whole name matches: those of every version of a view."""
    return sum(count for table, count in counts.items() if re.fullmatch(tables, table))


def _lines(stack: Stack, upserts: Sums) -> dict[str, int] | None:
    """Where the lines of a replayed file went; None for a simulated shop."""
    if "lines" not in stack.health:
        return None
    went = [upserts.get(name, {}) for name in ("order_lines", "refund_lines")]
    return {"in_file": stack.health["lines"], **{name: sum(each.get(name, 0) for each in went) for name in COUNTED}}


def _in_order(upserts: Collection[str]) -> list[str]:
    """Entities as they are registered, children behind their parents."""
    known = [each.name for parent in ENTITIES.values() for each in (parent, parent.child) if each is not None]
    return [name for name in known if name in upserts] + [name for name in upserts if name not in known]


def _without_password(dsn: str) -> str:
    scheme, rest = dsn.split("://", 1)
    login, address = rest.split("@", 1)
    return f"{scheme}://{login.split(':', 1)[0]}@{address}"
