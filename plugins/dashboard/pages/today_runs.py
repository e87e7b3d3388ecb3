"""What Airflow knows of last night: the newest run of every DAG that the user may see, and what failed in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import func, select
from sqlalchemy.orm import Session

FAILED = ("failed", "upstream_failed")
LOGGED = ("failed", "up_for_retry")


@dataclass(frozen=True, slots=True)
class TroubledTask:
    """A task that failed or is about to be tried again, and where its log is.

    :param path: of its log in Airflow's UI, without the address.
    """

    task_id: str
    state: str
    try_number: int
    path: str


@dataclass(frozen=True, slots=True)
class LastRun:
    """How a DAG stands.

    :param state: of the newest run; None if it never ran.
    :param path: of the run in Airflow's UI, or of the DAG if it never ran.
    :param tasks: those with a log to read; `held_back`: how many did not run because of them.
    """

    dag_id: str
    is_paused: bool
    next_run_at: datetime | None
    path: str
    state: str | None = None
    run_type: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tasks: tuple[TroubledTask, ...] = ()
    held_back: int = 0

    @property
    def seconds(self) -> float | None:
        """How long the run took, if it ended."""
        return (self.ended_at - self.started_at).total_seconds() if self.started_at and self.ended_at else None


def last_runs(session: Session, user: object) -> list[LastRun]:
    """One entry for each DAG, failed ones first.

    :param user: Airflow's own, as its dependency `GetUserDep` gives it; DAGs hidden from them are left out.
    """
    visible = get_auth_manager().get_authorized_dag_ids(user=user, method="GET", session=session)  # type: ignore[arg-type]  # a user of Airflow's
    dags = session.scalars(select(DagModel).where(DagModel.dag_id.in_(visible), ~DagModel.is_stale)).all()
    newest = select(func.max(DagRun.id)).where(DagRun.dag_id.in_(visible)).group_by(DagRun.dag_id)
    runs = {run.dag_id: run for run in session.scalars(select(DagRun).where(DagRun.id.in_(newest)))}
    tasks = _tasks(session, [run.run_id for run in runs.values()])
    found = [_last_run(dag, runs.get(dag.dag_id), tasks) for dag in dags]
    order = {"failed": 0, "running": 1, "queued": 1, "success": 2, None: 3}
    return sorted(found, key=lambda each: (order.get(each.state, 2), each.dag_id))


def _tasks(session: Session, run_ids: list[str]) -> dict[tuple[str, str], list[TaskInstance]]:
    found: dict[tuple[str, str], list[TaskInstance]] = {}
    asked = select(TaskInstance).where(TaskInstance.run_id.in_(run_ids), TaskInstance.state.in_({*FAILED, *LOGGED}))
    for task in session.scalars(asked.order_by(TaskInstance.start_date, TaskInstance.task_id)):
        found.setdefault((task.dag_id, task.run_id), []).append(task)
    return found


def _last_run(dag: DagModel, run: DagRun | None, tasks: dict[tuple[str, str], list[TaskInstance]]) -> LastRun:
    path = f"/dags/{quote(dag.dag_id)}"
    if run is None:
        return LastRun(dag.dag_id, bool(dag.is_paused), dag.next_dagrun_create_after, path)
    path = f"{path}/runs/{quote(run.run_id, safe='')}"
    troubled = tasks.get((run.dag_id, run.run_id), [])
    return LastRun(
        dag_id=dag.dag_id,
        is_paused=bool(dag.is_paused),
        next_run_at=dag.next_dagrun_create_after,
        path=path,
        state=str(run.state),
        run_type=str(run.run_type),
        started_at=run.start_date,
        ended_at=run.end_date,
        tasks=tuple(
            TroubledTask(task.task_id, str(task.state), task.try_number, _log_path(path, task))
            for task in troubled
            if task.state in LOGGED
        ),
        held_back=sum(task.state == "upstream_failed" for task in troubled),
    )


def _log_path(run_path: str, task: TaskInstance) -> str:
    mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    return f"{run_path}/tasks/{quote(task.task_id)}{mapped}?try_number={task.try_number}"
