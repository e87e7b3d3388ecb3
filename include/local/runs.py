"""DAG runs of the demo: started over the REST API, watched to their end, one line per finished task."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.local.airflow_api import FINISHED, AirflowApi
from include.local.errors import LocalStackError
from include.local.parts import Part, check_alive
from include.local.places import Places
from include.local.progress import Progress

POLL_SECONDS = 0.5
QUIET_SECONDS = 20.0
STUCK_SECONDS = 1_800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """How one task of a run ended. `seconds` counts its last try alone."""

    dag_id: str
    run_id: str
    task_id: str
    state: str
    try_number: int
    seconds: float

    @property
    def is_success(self) -> bool:
        """Whether the task did what it should; a task that a branch left out is well too."""
        return self.state in {"success", "skipped"}

    def log(self, places: Places) -> Path:
        """Where the log of its last try lies."""
        folder = places.airflow / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.run_id}"
        return folder / f"task_id={self.task_id}" / f"attempt={self.try_number}.log"


def run_dags(
    dag_ids: list[str],
    *,
    conf: dict[str, str],
    api: AirflowApi,
    parts: tuple[Part, ...],
    places: Places,
    progress: Progress,
) -> list[TaskResult]:
    """Run the DAGs side by side over one range and return how each task ended.

    :raises LocalStackError: a part of the stack died, or nothing moved for half an hour.
    """
    runs: dict[str, str] = {}
    for dag_id in dag_ids:
        api.pause(dag_id, is_paused=False)
        runs[dag_id] = api.trigger(dag_id, conf=conf)
        progress.say(f"{dag_id}: started over {conf['start'][:10]} to {conf['end'][:10]}")
    told: dict[tuple[str, str], str] = {}
    last_told = last_change = time.monotonic()
    while True:
        for part in parts:
            check_alive(part)
        # State first, tasks second: what a finished run's tasks say then is final.
        states = {dag_id: api.run_state(dag_id, run_id) for dag_id, run_id in runs.items()}
        results = [
            _result(task, dag_id=dag_id, run_id=run_id)
            for dag_id, run_id in runs.items()
            for task in api.tasks(dag_id, run_id)
        ]
        for result in sorted(results, key=lambda each: each.seconds):
            key = (result.dag_id, result.task_id)
            if told.get(key) != result.state and result.state in FINISHED | {"up_for_retry"}:
                progress.say(_line(result))
                last_told = time.monotonic()
            if told.get(key) != result.state:
                told[key] = result.state
                last_change = time.monotonic()
        if all(state in {"success", "failed"} for state in states.values()):
            for result in results:
                if result.state == "failed":
                    progress.plain(_failure(result, places))
            return results
        if time.monotonic() - last_told > QUIET_SECONDS:
            running = [result.task_id for result in results if result.state == "running"]
            progress.say(f"still at work: {', '.join(running) or 'waiting for a free worker'}")
            last_told = time.monotonic()
        if time.monotonic() - last_change > STUCK_SECONDS:
            raise LocalStackError(
                f"No task has changed its state for {STUCK_SECONDS / 60:.0f} minutes; the runs were given up. "
                f"Look into {places.logs / 'scheduler.log'} and run make doctor."
            )
        time.sleep(POLL_SECONDS)


def _result(task: dict[str, Any], *, dag_id: str, run_id: str) -> TaskResult:
    return TaskResult(
        dag_id=dag_id, run_id=run_id, task_id=task["task_id"], state=task["state"] or "waiting",
        try_number=max(1, task["try_number"] or 1), seconds=task["duration"] or 0.0,
    )  # fmt: skip


def _line(result: TaskResult) -> str:
    return f"{result.dag_id + ': ' + result.task_id:<46} {result.state:<8} {result.seconds:6.1f} s"


def _failure(result: TaskResult, places: Places) -> str:
    path = result.log(places)
    return f"\n{result.dag_id}.{result.task_id} failed. The end of its log {path}:\n{task_log_tail(path)}\n"


def skip_reason(results: list[TaskResult], places: Places) -> str | None:
    """Why a task left itself out, in its own words; None when none did."""
    for result in results:
        if result.state == "skipped" and result.log(places).exists():
            for line in result.log(places).read_text(errors="replace").splitlines():
                _, found, reason = _event(line).partition(" skipped: ")
                if found:
                    return reason
    return None


def _event(line: str) -> str:
    try:
        return str(json.loads(line).get("event", ""))
    except (ValueError, AttributeError):
        return ""


def task_log_tail(path: Path) -> str:
    """The end of a task's log as text; Airflow writes one JSON object per line, errors with their cause inside."""
    try:
        written = path.read_text(errors="replace").splitlines()
    except OSError:
        return f"    (no log at {path})"
    told: list[str] = []
    for line in written:
        try:
            entry = json.loads(line)
        except ValueError:
            told.append(line)
            continue
        told.append(f"{entry.get('level', '')}: {entry.get('event', '')}")
        told += [f"  {error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
    return "\n".join(f"    {line}" for line in told[-15:])
