"""The daily scores, their monitoring and the training that drift asks for, run by a real Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.features.registry import FEATURE_VIEWS
from tests.integration.feature_shop import DAY
from tests.integration.registry_stores import sqlite_registry
from tests.integration.scored_shop import SNAPSHOT, crown, fill, fit_values

RUN = {"start": (SNAPSHOT - DAY).isoformat(), "end": SNAPSHOT.isoformat()}
TASKS = ("score_customers", "monitor_scores", "train_on_drift")


@pytest.fixture
def storage(platform: str, tmp_path: Path) -> Path:
    """The folder that the tasks use."""
    return tmp_path / "storage"


@pytest.fixture
def champion(warehouse, storage: Path):
    """A shop with features, and a champion in the registry of the environment."""
    registry = sqlite_registry(storage / "models")
    made = crown(warehouse, registry, fill(warehouse, storage), storage)
    fit_values(warehouse)
    return made


def run(dag_bag) -> dict[str, str]:
    dag_run = dag_bag.dags["customer_scores"].test(run_conf=RUN)
    return {each.task_id: str(each.state) for each in dag_run.get_task_instances()}


def requested_windows() -> list[dict[str, str]]:
    """What was asked of churn_model, in order."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        events = session.scalars(
            select(AssetEvent)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .where(AssetModel.name == "churn_training_requested")
            .order_by(AssetEvent.id)
        )
        return [dict(event.extra) for event in events]


def test_without_a_champion_everything_is_skipped(dag_bag, storage):
    assert run(dag_bag) == dict.fromkeys(TASKS, "skipped")


def test_scores_are_written_once_monitored_and_drift_asks_for_training_only_if_that_is_switched_on(
    dag_bag, champion, warehouse, monkeypatch
):
    view = FEATURE_VIEWS["customer_rfm"]
    warehouse.execute("UPDATE features.customer_rfm_v1 SET frequency = NULL WHERE event_time = %s", (SNAPSHOT,))
    warehouse.commit()
    assert "frequency" in view.feature_names
    already = len(requested_windows())
    assert run(dag_bag) == {"score_customers": "success", "monitor_scores": "success", "train_on_drift": "skipped"}
    scored = warehouse.execute("SELECT count(*) FROM ml.customer_scores").fetchone()[0]
    assert scored > 300
    assert warehouse.execute("SELECT count(*) FROM ml.monitoring WHERE is_alert").fetchone()[0] > 0
    assert len(requested_windows()) == already
    monkeypatch.setenv("AIRFLOW_VAR_CHURN_TRAINS_ON_DRIFT", "true")
    assert run(dag_bag) == dict.fromkeys(TASKS, "success")
    assert requested_windows()[already:] == [RUN]
    receipts = warehouse.execute(
        "SELECT inserted, unchanged FROM ops.receipts WHERE entity = 'customer_scores' ORDER BY receipt_id"
    ).fetchall()
    assert receipts == [(scored, 0), (0, scored)]


def test_the_churn_model_waits_for_requests(parsed_dags):
    condition = parsed_dags.dags["churn_model"].timetable.asset_condition
    assert [asset.name for asset in condition.objects] == ["churn_training_requested"], "and not for each build"
