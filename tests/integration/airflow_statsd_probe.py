"""Runs Airflow's own parts, one after the other in this process, so that they send their StatsD packets.

The DAG processor reads the DAG files of AIRFLOW__CORE__DAGS_FOLDER, twice: its numbers are of the time before. The
scheduler ends a run of `probe_run`, whose only task needs no process of its own; `airflow dags test` runs
`probe_tasks`, one of whose tasks fails. All settings come from the environment. Exit code 0: all ran as it should.
"""

from __future__ import annotations

import sys

SCHEDULER_LOOPS = "8"


def main() -> int:
    from airflow.cli.cli_parser import get_parser

    def airflow(*words: str) -> None:
        arguments = get_parser().parse_args(words)
        arguments.func(arguments)

    airflow("db", "migrate")
    airflow("dag-processor", "--num-runs", "2")
    airflow("dags", "trigger", "probe_run")
    airflow("scheduler", "--num-runs", SCHEDULER_LOOPS, "--skip-serve-logs")
    try:
        airflow("dags", "test", "probe_tasks")
    except SystemExit:
        return 0
    print("probe_tasks ended well although one of its tasks raises", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
