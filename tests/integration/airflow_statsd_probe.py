"""Runs Airflow's own parts, one after the other in this process, so that they send their StatsD packets.

The DAG processor reads the DAG files of AIRFLOW__CORE__DAGS_FOLDER, twice: its numbers are of the time before. The
scheduler ends a run of `probe_run`, whose only task needs no process of its own; `airflow dags test` runs
`probe_tasks`, one of whose tasks fails. All settings come from the environment. Exit code 0: all ran as it should.
"""

from __future__ import annotations

import sys

SCHEDULER_LOOPS = "20"
SCHEDULERS = 10


def main() -> int:
    from airflow.cli.cli_parser import get_parser

    def airflow(*words: str) -> None:
        arguments = get_parser().parse_args(words)
        arguments.func(arguments)

    airflow("db", "migrate")
    airflow("dag-processor", "--num-runs", "2")
    airflow("dags", "trigger", "probe_run")
    for _ in range(SCHEDULERS):
        airflow("scheduler", "--num-runs", SCHEDULER_LOOPS, "--skip-serve-logs")
        if _has_ended("probe_run"):
            break
    try:
        airflow("dags", "test", "probe_tasks")
    except SystemExit:
        return 0
    print("probe_tasks ended well although one of its tasks raises", file=sys.stderr)
    return 1


def _has_ended(dag_id: str) -> bool:
    """Whether the only run of a DAG is over: how many loops that takes depends on the machine."""
    from airflow.models.dagrun import DagRun

    (run,) = DagRun.find(dag_id=dag_id)
    return run.state == "success"


if __name__ == "__main__":
    sys.exit(main())
