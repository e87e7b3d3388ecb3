"""Seconds to parse the DAG folder, over what Airflow's own import costs; heavy libraries must stay out."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.result import Result

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
HEAVY = ("pandas", "sklearn", "great_expectations")
_SCRIPT = """
import json, sys, time
from pathlib import Path
import airflow.sdk
from airflow.sdk import AssetOrTimeSchedule, CronDataIntervalTimetable, ExceptionRetryPolicy
from airflow.sdk import Param, dag, task, task_group
started = time.perf_counter()
for path in sorted(Path("dags").glob("*.py")):
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": path.stem, "__doc__": ""})
print(json.dumps({"seconds": time.perf_counter() - started, "modules": sorted(sys.modules)}))
"""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
        rounds = []
        for _ in range(ROUNDS):
            answer = subprocess.run(
                [sys.executable, "-c", _SCRIPT], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            )
            rounds.append(json.loads(answer.stdout.splitlines()[-1]))
    heavy = [name for name in HEAVY if name in rounds[0]["modules"]]
    return [
        Result(
            name="ingestion.dag_parse_seconds",
            value=statistics.median(each["seconds"] for each in rounds),
            unit="s",
            against="Airflow's own import, already paid",
            detail=f"all files of dags/, median of {ROUNDS} fresh processes",
        ),
        Result(
            name="ingestion.dag_parse_heavy_imports",
            value=len(heavy),
            unit="modules",
            against=f"none of {', '.join(HEAVY)} at parse time",
            goal="≤ 0",
            detail=", ".join(heavy) or "none",
        ),
    ]
