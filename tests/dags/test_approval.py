"""A person's word before a promotion: nobody is asked unless that is switched on, and what is answered counts."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tests.integration.judged_models import judged
from tests.integration.registry_stores import sqlite_registry

DEADLINE_SECONDS = 120
PROBE = """
from airflow.sdk import dag
from orchestration.churn import GATE_PARAMS, approve_champion, promote

@dag(dag_id="approval_probe", schedule=None, params={**GATE_PARAMS, "model_id": "none"})
def probe():
    promote("{{ params.model_id }}", approve_champion("{{ params.model_id }}"))

probe()
"""


class Person:
    """Somebody who is logged in."""

    def get_id(self) -> str:
        return "7"

    def get_name(self) -> str:
        return "ada"


@pytest.fixture
def registry(platform: str, tmp_path) -> Any:
    """The registry that the tasks of this test use."""
    return sqlite_registry(tmp_path / "storage" / "models")


@pytest.fixture
def probe(metadata_database: None, tmp_path) -> Any:
    """The last two tasks of churn_model, for a model that was judged before."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "probe.py").write_text(PROBE)
    bag = DagBag(str(tmp_path / "dags"))
    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, "dags-folder", None)
    return bag.dags["approval_probe"]


def run(probe: Any, model_id: str) -> dict[str, str]:
    dag_run = probe.test(run_conf={"model_id": model_id})
    return {instance.task_id: str(instance.state) for instance in dag_run.get_task_instances()}


def answer(option: str, *, seen: dict[str, Any]) -> None:
    """Answer the next open request as the UI's API does; keeps what the person saw."""
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        with create_session() as session:
            waiting = select(TaskInstance).where(
                TaskInstance.dag_id == "approval_probe", TaskInstance.state == "awaiting_input"
            )
            if found := session.scalar(waiting):
                detail = session.get(HITLDetail, found.id)
                seen.update(subject=detail.subject, body=detail.body, options=detail.options)
                update_hitl_detail(
                    dag_id=found.dag_id, dag_run_id=found.run_id, task_id=found.task_id, session=session,
                    update_hitl_detail_payload=UpdateHITLDetailPayload(chosen_options=[option], params_input={}),
                    user=Person(),
                )  # fmt: skip
                return
        time.sleep(0.2)


def answered(probe: Any, model_id: str, option: str) -> tuple[dict[str, str], dict[str, Any]]:
    """Run the tasks while a person answers; the tasks' states, and what the person saw."""
    seen: dict[str, Any] = {}
    person = threading.Thread(target=answer, args=(option,), kwargs={"seen": seen})
    person.start()
    states = run(probe, model_id)
    person.join()
    return states, seen


def standing(conn: Any) -> tuple[str, str]:
    return conn.execute("SELECT status, status_reason FROM ml.models").fetchone()


DONE = {"approve_champion": "success", "promote": "success"}


@pytest.mark.parametrize("switch", [None, "false", "False"])
def test_switched_off_nobody_is_asked_and_the_gate_alone_decides(probe, registry, warehouse, monkeypatch, switch):
    if switch is not None:
        monkeypatch.setenv("AIRFLOW_VAR_CHURN_NEEDS_APPROVAL", switch)
    judged(warehouse, registry, "m-1", auc=0.7)
    assert run(probe, "m-1") == DONE
    assert registry.holder_of("churn").model_id == "m-1"
    assert "approved" not in standing(warehouse)[1]


def test_a_model_that_a_person_approves_becomes_champion_and_the_history_says_by_whom(
    probe, registry, warehouse, monkeypatch
):
    monkeypatch.setenv("AIRFLOW_VAR_CHURN_NEEDS_APPROVAL", "true")
    judged(warehouse, registry, "m-1", auc=0.7)
    states, seen = answered(probe, "m-1", "Approve")
    assert states == DONE
    assert seen["options"] == ["Approve", "Reject"]
    assert "m-1" in seen["body"] and "auc 0.7000 against 0.6000 of recency_only" in seen["body"]
    assert registry.holder_of("churn").model_id == "m-1"
    [(reason,)] = warehouse.execute("SELECT reason FROM ml.alias_changes").fetchall()
    assert reason.endswith("; approved by ada")


def test_a_model_that_a_person_rejects_is_kept_and_does_not_become_champion(probe, registry, warehouse, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_CHURN_NEEDS_APPROVAL", "true")
    judged(warehouse, registry, "m-1", auc=0.7)
    states, _ = answered(probe, "m-1", "Reject")
    assert states == DONE
    assert registry.holder_of("churn") is None
    status, reason = standing(warehouse)
    assert (status, reason.split(";")[0]) == ("refused", "rejected by ada")


def test_nobody_is_asked_about_a_model_that_does_not_pass_the_gate(probe, registry, warehouse, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_CHURN_NEEDS_APPROVAL", "true")
    judged(warehouse, registry, "m-1", auc=0.5)
    assert run(probe, "m-1") == DONE
    assert standing(warehouse)[0] == "refused"


def test_a_switch_that_says_neither_fails_the_task_and_promotes_nothing(probe, registry, warehouse, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_CHURN_NEEDS_APPROVAL", "yes please")
    judged(warehouse, registry, "m-1", auc=0.7)
    assert run(probe, "m-1")["approve_champion"] == "failed"
    assert registry.holder_of("churn") is None


def test_nobody_s_word_in_time_is_a_no(metadata_database):
    from orchestration.approval import ApprovePromotion

    asked = ApprovePromotion(task_id="approve_champion", model_id="m-1")
    event = {"chosen_options": asked.defaults, "params_input": {}, "responded_by_user": None, "timedout": True}
    from datetime import UTC, datetime

    result = asked.execute_complete({}, {**event, "responded_at": datetime.now(UTC)})
    assert result == {"rejection": "nobody approved it within 20 hours"}
