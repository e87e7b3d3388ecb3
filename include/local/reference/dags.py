"""The page of the DAGs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from include.local.reference.markdown import code, codes, one_line, page, table


def dags_page(dags: Mapping[str, Any]) -> str:
    """:param dags: the DAGs of a `DagBag` by their ids."""
    return page(
        "DAGs",
        "When each runs, what can be set in its trigger form, and its tasks in the order in which they run.",
        *(_told(dags[name]) for name in sorted(dags)),
    )


def _told(dag: Any) -> str:
    tasks = table(
        ("task", "after", "does"),
        (
            (code(task.task_id), codes(sorted(task.upstream_task_ids)), _does(task))
            for task in dag.topological_sort()
        ),
    )  # fmt: skip
    parameters = table(
        ("parameter", "is"),
        ((code(name), _parameter(dag.params.get_param(name))) for name in sorted(dag.params)),
    )
    words = str(dag.doc_md).strip()
    return "\n".join([f"## {dag.dag_id}", "", f"Runs {_schedule(dag)}.", "", words, "", parameters, tasks])


def _schedule(dag: Any) -> str:
    """When it runs, in words."""
    timetable = dag.timetable
    cron = getattr(getattr(timetable, "timetable", timetable), "expression", None)
    told = [f"at {code(cron)} UTC"] if cron else []
    condition = timetable.asset_condition
    if condition:
        assets = [code(asset.name) for asset in condition.objects]
        between = " or " if type(condition).__name__ == "AssetAny" else " and "
        told.append(f"on {between.join(assets)}")
    return ", and ".join(told) or "by hand"


def _parameter(param: Any) -> str:
    title, words = param.schema.get("title") or "", param.schema.get("description") or param.description or ""
    default = "" if param.value is None else f" Unless given: {code(param.value)}."
    return one_line(f"{title}. {words}{default}" if title else f"{words}{default}")


def _does(task: Any) -> str:
    """The first sentence of what the task, or its function, says of itself."""
    function = getattr(task, "python_callable", None)
    words = task.doc_md or (function.__doc__ if function else type(task).__doc__) or ""
    return one_line(re.split(r"(?<=\.)\s", words.strip())[0])
