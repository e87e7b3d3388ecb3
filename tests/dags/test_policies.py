"""What every DAG of the project must be; each failure says what to change."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WINDOWED = {"shop_to_features", "market_signals", "churn_model", "lifetime_value"}
ON_ASSETS = {"product_recommendations", "customer_scores", "analytics_marts"}
BY_HAND = {"landing_replay", "customer_erasure", "quarantine_replay"}
EXPECTED = {*WINDOWED, *ON_ASSETS, *BY_HAND, "landing_retention", "feature_store_upkeep"}
VERBS = (
    "extract",
    "validate",
    "upsert",
    "build",
    "publish",
    "train",
    "evaluate",
    "approve",
    "promote",
    "expire",
    "replay",
    "erase",
    "note",
    "summarize",
    "measure",
    "thin",
    "compact",
    "mirror",
    "fit",
    "score",
    "monitor",
    "refresh",
)
MAY_IMPORT = {"airflow", "orchestration", "datetime"}
HEAVY = {"pandas", "sklearn", "great_expectations", "pyarrow", "psycopg", "implicit", "scipy", "mlflow"}

dag_files = pytest.mark.parametrize("path", sorted((ROOT / "dags").glob("*.py")), ids=lambda path: path.stem)
each_dag = pytest.mark.parametrize("dag_id", sorted(EXPECTED))
each_windowed_dag = pytest.mark.parametrize("dag_id", sorted(WINDOWED))


def test_the_folder_holds_exactly_the_dags_that_we_know(parsed_dags):
    assert not parsed_dags.import_errors, "These files do not import; run `python dags/<file>.py` to see why."
    found = set(parsed_dags.dags)
    assert found == EXPECTED, "A DAG came or went: add it to EXPECTED and to the README's table, or put it back."


@each_dag
def test_a_dag_says_what_it_is_for(parsed_dags, dag_id):
    dag = parsed_dags.dags[dag_id]
    assert dag.doc_md and len(dag.doc_md) > 200, (
        f"{dag_id}: pass doc_md=__doc__ and say what it does and what to do when it fails."
    )
    assert "fails" in dag.doc_md, f"{dag_id}: its documentation must tell what to do when a task fails."
    impacts = [tag for tag in dag.tags if tag.startswith("impact:")]
    assert len(impacts) == 1, f"{dag_id}: give it one tag impact:high, impact:medium or impact:low."


@each_windowed_dag
def test_a_dag_covers_a_window_and_can_be_given_one(parsed_dags, dag_id):
    dag = parsed_dags.dags[dag_id]
    assert {"start", "end"} <= set(dag.params), f"{dag_id}: pass params=WINDOW_PARAMS."
    timetable = getattr(dag.timetable, "timetable", dag.timetable)
    assert type(timetable).__name__ == "CronDataIntervalTimetable", (
        f"{dag_id}: schedule it by CronDataIntervalTimetable; @daily and cron strings give empty intervals."
    )


@pytest.mark.parametrize("dag_id", sorted(ON_ASSETS))
def test_what_waits_for_assets_alone_takes_their_window_and_can_be_given_one(parsed_dags, dag_id):
    dag = parsed_dags.dags[dag_id]
    assert {"start", "end"} <= set(dag.params), f"{dag_id}: pass params=WINDOW_PARAMS."
    assert type(dag.timetable).__name__ == "AssetTriggeredTimetable", f"{dag_id}: schedule it by its assets."


@pytest.mark.parametrize("dag_id", sorted(BY_HAND))
def test_what_is_run_by_hand_explains_every_field_of_its_trigger_form(parsed_dags, dag_id):
    dag = parsed_dags.dags[dag_id]
    assert not dag.timetable.can_be_scheduled, f"{dag_id}: set schedule=None."
    assert set(dag.params), f"{dag_id}: say by params what it is to work on."
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema.get("title") and len(param.description or "") > 40, f"{dag_id}: explain `{name}`."


@each_dag
def test_runs_of_a_dag_follow_one_another_and_do_not_catch_up_by_themselves(parsed_dags, dag_id):
    dag = parsed_dags.dags[dag_id]
    assert dag.max_active_runs == 1, f"{dag_id}: set max_active_runs=1; windows of one table are loaded in order."
    assert dag.catchup is False, f"{dag_id}: set catchup=False; a range is loaded by a backfill or a ranged run."


@each_dag
def test_tasks_are_retried_by_the_kind_of_error(parsed_dags, dag_id):
    for task in parsed_dags.dags[dag_id].tasks:
        assert task.owner == "regulars", f"{dag_id}.{task.task_id}: pass default_args=DEFAULT_ARGUMENTS."
        assert task.retries >= 1, f"{dag_id}.{task.task_id}: at least one retry; the API server may be restarting."
        assert task.retry_policy is not None, f"{dag_id}.{task.task_id}: pass default_args=DEFAULT_ARGUMENTS."


@each_dag
def test_tasks_are_named_as_verbs_in_lower_snake_case(parsed_dags, dag_id):
    for task in parsed_dags.dags[dag_id].tasks:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", task.task_id), f"{dag_id}.{task.task_id}: write it in lower snake case."
        assert task.task_id.split("_")[0] in VERBS, f"{dag_id}.{task.task_id}: begin it with one of {', '.join(VERBS)}."


@dag_files
def test_a_dag_file_holds_no_logic(path):
    tree = ast.parse(path.read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    strange = imported - MAY_IMPORT
    assert not strange, (
        f"{path.name} imports {strange}: move that into include/ and call it from plugins/orchestration/."
    )
    assert not re.search(r"\bSELECT\b|\bINSERT\b", path.read_text()), f"{path.name}: SQL belongs into include/sql/."


def test_parsing_the_dags_imports_no_heavy_library():
    script = "import sys, runpy\n" + "".join(
        f"runpy.run_path({str(path)!r})\n" for path in sorted((ROOT / "dags").glob("*.py"))
    )
    loaded = subprocess.run(
        [sys.executable, "-c", f"{script}print(*sys.modules, sep=chr(10))"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "AIRFLOW_HOME": "/tmp/airflow-parse"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "airflow.sdk" in loaded
    heavy = HEAVY & set(loaded)
    assert not heavy, f"{heavy} imported while parsing: import inside the task's function."


def test_the_dags_name_every_entity_and_feature_view_once(parsed_dags):
    from include.entities.registry import ENTITIES
    from include.features.registry import FEATURE_VIEWS

    tasks = [task_id for dag in parsed_dags.dags.values() for task_id in dag.task_ids]
    for step in ("extract", "validate", "upsert"):
        named = sorted(task.removeprefix(f"{step}_") for task in tasks if task.startswith(f"{step}_"))
        assert named == sorted(ENTITIES), (
            f"{step}_*: every entity of include/entities/registry.py belongs into one DAG."
        )
    built = sorted(
        t.removeprefix("build_") for t in parsed_dags.dags["shop_to_features"].task_ids if t.startswith("build_")
    )
    assert built == sorted(FEATURE_VIEWS), "Add the feature view to FEATURE_VIEWS in dags/shop_to_features.py."


def test_every_extraction_takes_a_slot_of_the_pool_of_its_connection(parsed_dags):
    from include.sources.factory import SOURCES

    pools = json.loads((ROOT / "deploy" / "pools.json").read_text())
    for dag in parsed_dags.dags.values():
        for task in dag.tasks:
            entity = task.task_id.removeprefix("extract_")
            if entity != task.task_id:
                connection = SOURCES[entity][0]
                assert task.pool == connection, f"{task.task_id}: give it the pool `{connection}` in its DAG file."
                assert connection in pools, f"{connection}: add the pool to deploy/pools.json."


def test_errors_that_a_retry_cannot_mend_exist_under_the_names_that_the_retry_policy_uses():
    from importlib import import_module

    from orchestration.retries import NEEDS_A_PERSON

    for dotted in NEEDS_A_PERSON:
        module, name = dotted.rsplit(".", 1)
        assert issubclass(getattr(import_module(module), name), Exception), (
            f"{dotted} in retries.py names no exception."
        )


@pytest.fixture(scope="module")
def parsed_again(parse_dags):
    return parse_dags()


@each_dag
def test_two_parses_give_the_same_dag(parsed_dags, parsed_again, dag_id):
    from airflow.serialization.serialized_objects import DagSerialization

    first, second = (DagSerialization.to_dict(bag.dags[dag_id]) for bag in (parsed_dags, parsed_again))
    assert first == second, (
        f"{dag_id}: something changes with every parse (now(), uuid4(), a set's order); make it constant."
    )
