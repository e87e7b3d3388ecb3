"""Who is champion and why: promotions at once, rolling back, the history, and the index when it was left behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from include.models.__main__ import main
from include.models.champion import follow, roll_back
from include.models.churn.errors import EvaluationOutOfDate
from include.models.churn.promote import preview, promote
from include.models.registry.errors import ModelMissing
from include.warehouse.connection import connect_warehouse
from tests.command_line import ended
from tests.integration.feature_shop import NOW
from tests.integration.judged_models import judged
from tests.integration.registry_stores import at_once, sqlite_registry
from tests.integration.sandbox_process import ROOT
from tests.own_database import connection


def champion_of(registry) -> str | None:
    kept = registry.holder_of("churn")
    return kept.model_id if kept else None


def changes(conn) -> list[tuple[str, str | None]]:
    rows = conn.execute("SELECT model_id, previous_model_id FROM ml.alias_changes ORDER BY alias_change_id")
    return rows.fetchall()


def statuses(conn) -> dict[str, str]:
    return dict(conn.execute("SELECT model_id, status FROM ml.models").fetchall())


def three_champions(conn, registry) -> None:
    before = None
    for number, auc in enumerate((0.7, 0.75, 0.8), start=1):
        judged(conn, registry, f"m-{number}", auc=auc, champion=before, test_day=number)
        assert promote(conn, registry, model_id=f"m-{number}", now=NOW).is_promoted
        before = (f"m-{number}", auc)


def test_each_promotion_is_in_the_history_with_its_reason(warehouse, registry):
    three_champions(warehouse, registry)
    assert champion_of(registry) == "m-3"
    assert changes(warehouse) == [("m-1", None), ("m-2", "m-1"), ("m-3", "m-2")]
    assert statuses(warehouse) == {"m-1": "retired", "m-2": "retired", "m-3": "champion"}
    [(reason,)] = warehouse.execute("SELECT reason FROM ml.alias_changes WHERE model_id = 'm-3'").fetchall()
    assert "auc 0.8000 against 0.7500 of champion" in reason
    assert registry.holder_of("churn").tags["champion_reason"] == reason


def test_rolling_back_is_in_the_history_and_what_was_rolled_back_stays_out(warehouse, registry):
    three_champions(warehouse, registry)
    assert roll_back(warehouse, registry, "churn", reason="complaints", now=NOW).model_id == "m-2"
    assert changes(warehouse)[-1] == ("m-2", "m-3")
    [(reason,)] = warehouse.execute(
        "SELECT reason FROM ml.alias_changes ORDER BY alias_change_id DESC LIMIT 1"
    ).fetchall()
    assert reason == "m-3 was rolled back: complaints"
    assert statuses(warehouse) == {"m-1": "retired", "m-2": "champion", "m-3": "rolled_back"}
    judged(warehouse, registry, "m-3", auc=0.8, champion=("m-2", 0.75), test_day=3)
    again = promote(warehouse, registry, model_id="m-3", now=NOW)
    assert (again.is_promoted, again.reason) == (False, "it was rolled back: complaints")
    assert champion_of(registry) == "m-2"
    assert statuses(warehouse)["m-3"] == "rolled_back"
    judged(warehouse, registry, "m-4", auc=0.9, champion=("m-2", 0.75), test_day=4)
    assert promote(warehouse, registry, model_id="m-4", now=NOW).is_promoted
    assert roll_back(warehouse, registry, "churn", reason="no", now=NOW).model_id == "m-2"


def test_rolling_back_the_first_champion_changes_nothing(warehouse, registry):
    judged(warehouse, registry, "m-1", auc=0.7)
    promote(warehouse, registry, model_id="m-1", now=NOW)
    with pytest.raises(ModelMissing, match="no former champion"):
        roll_back(warehouse, registry, "churn", reason="x", now=NOW)
    assert changes(warehouse) == [("m-1", None)]
    assert statuses(warehouse) == {"m-1": "champion"}


def test_of_promotions_at_once_one_wins_and_the_others_are_told_to_look_again(warehouse, warehouse_dsn, any_registry):
    names = [f"m-{number}" for number in range(4)]
    for number, name in enumerate(names):
        judged(warehouse, any_registry, name, auc=0.7 + number / 100)

    def decide(name: str):
        with connect_warehouse(warehouse_dsn) as conn:
            return promote(conn, any_registry, model_id=name, now=NOW)

    results = at_once(*(lambda name=name: decide(name) for name in names))
    promoted = [found for found in results if not isinstance(found, Exception)]
    assert [found.is_promoted for found in promoted] == [True], results
    assert {type(found) for found in results if isinstance(found, Exception)} == {EvaluationOutOfDate}
    winner = promoted[0].model_id
    assert champion_of(any_registry) == winner
    assert changes(warehouse) == [(winner, None)]
    assert sorted(statuses(warehouse).values()) == ["champion", "evaluated", "evaluated", "evaluated"]


def test_a_promotion_and_a_rollback_at_once_leave_one_champion_that_both_stores_name(
    warehouse, warehouse_dsn, any_registry
):
    three_champions(warehouse, any_registry)
    judged(warehouse, any_registry, "m-4", auc=0.85, champion=("m-3", 0.8), test_day=4)

    def run(act):
        with connect_warehouse(warehouse_dsn) as conn:
            return act(conn)

    results = at_once(
        lambda: run(lambda conn: promote(conn, any_registry, model_id="m-4", now=NOW)),
        lambda: run(lambda conn: roll_back(conn, any_registry, "churn", reason="bad", now=NOW)),
    )
    # Promotion first: m-4 is rolled back to m-3. Rollback first: m-2 is champion, and m-4 was compared with another.
    expected = "m-2" if isinstance(results[0], EvaluationOutOfDate) else "m-3"
    assert champion_of(any_registry) == expected, results
    [(indexed,)] = warehouse.execute("SELECT model_id FROM ml.aliases").fetchall()
    assert indexed == expected
    assert list(statuses(warehouse).values()).count("champion") == 1
    links = changes(warehouse)
    assert [model for model, _ in links[:-1]] == [previous for _, previous in links[1:]]


def test_an_alias_moved_in_mlflow_is_followed(warehouse, registry):
    three_champions(warehouse, registry)
    registry._client.set_registered_model_alias("churn", "champion", "1")
    follow(warehouse, registry, "churn", now=NOW)
    assert changes(warehouse)[-1] == ("m-1", "m-3")
    assert statuses(warehouse) == {"m-1": "champion", "m-2": "retired", "m-3": "retired"}
    before = changes(warehouse)
    follow(warehouse, registry, "churn", now=NOW)
    assert changes(warehouse) == before


def test_a_change_whose_note_was_lost_is_noted_by_the_next_decision(warehouse, registry):
    """Killed after MLflow was told and before the warehouse was."""
    three_champions(warehouse, registry)
    registry.rollback("churn", reason="complaints")
    judged(warehouse, registry, "m-4", auc=0.9, champion=("m-2", 0.75), test_day=4)
    assert promote(warehouse, registry, model_id="m-4", now=NOW).is_promoted
    assert changes(warehouse)[-2:] == [("m-2", "m-3"), ("m-4", "m-2")]
    assert statuses(warehouse) == {"m-1": "retired", "m-2": "retired", "m-3": "rolled_back", "m-4": "champion"}


def test_a_champion_of_another_warehouse_is_no_row_here(warehouse, registry):
    kept = registry.register("churn", {}, model_id="elsewhere", parameters={}, metrics={}, tags={}, card="")
    registry.set_alias("churn", kept.version, reason="there")
    assert follow(warehouse, registry, "churn", now=NOW) == registry.holder_of("churn")
    assert changes(warehouse) == []


def test_a_model_from_before_the_registry_is_succeeded(warehouse, registry):
    judged(warehouse, registry, "m-1", auc=0.7)
    judged(warehouse, registry, "old", auc=0.7)
    warehouse.execute("UPDATE ml.models SET registry_version = NULL, status = 'champion' WHERE model_id = 'old'")
    warehouse.execute("INSERT INTO ml.aliases VALUES ('churn_champion', 'old', %s)", (NOW,))
    with pytest.raises(ModelMissing, match=r"'old' in ml\.models with a version"):
        promote(warehouse, registry, model_id="old", now=NOW)
    assert promote(warehouse, registry, model_id="m-1", now=NOW).is_promoted
    assert changes(warehouse) == [("m-1", "old")]
    assert statuses(warehouse) == {"m-1": "champion", "old": "retired"}


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"auc": 0.6}, "it does not pass: auc 0.6000 against 0.6000 of recency_only"),
        ({"auc": 0.7, "calibration_error": 0.11}, "expected calibration error 0.1100 above 0.1000"),
    ],
)
def test_what_does_not_pass_the_gate_is_refused_with_the_figure(warehouse, registry, choices, reason):
    judged(warehouse, registry, "m-1", **choices)
    expected = preview(warehouse, registry, model_id="m-1")
    decided = promote(warehouse, registry, model_id="m-1", now=NOW)
    assert decided == expected
    assert not decided.is_promoted
    assert reason in decided.reason
    assert champion_of(registry) is None
    assert statuses(warehouse) == {"m-1": "refused"}
    assert promote(warehouse, registry, model_id="m-1", now=NOW, largest_calibration_error=0.2).is_promoted == (
        "above" in reason
    )


def test_a_rejection_counts_and_is_kept_with_the_figures(warehouse, registry):
    judged(warehouse, registry, "m-1", auc=0.7)
    refused = promote(warehouse, registry, model_id="m-1", now=NOW, rejection="rejected by ada")
    assert not refused.is_promoted
    assert refused.reason.startswith("rejected by ada; it beats all: auc 0.7000")
    assert statuses(warehouse) == {"m-1": "refused"}
    promoted = promote(warehouse, registry, model_id="m-1", now=NOW, approval="approved by ada")
    assert promoted.reason.endswith("; approved by ada")
    assert champion_of(registry) == "m-1"


@pytest.fixture
def settings(warehouse_dsn, tmp_path) -> dict[str, str]:
    """What a command finds in its environment."""
    return {"AIRFLOW_CONN_WAREHOUSE": connection(warehouse_dsn), "REGULARS_STORAGE": str(tmp_path)}


@pytest.fixture
def models(settings, capsys):
    """Runs a command in this process."""
    return lambda *words: ended(main, words, settings, capsys)


def test_one_command_rolls_back_and_the_others_tell(warehouse, settings, models, tmp_path):
    registry = sqlite_registry(tmp_path / "models")
    three_champions(warehouse, registry)
    command = [sys.executable, "-m", "include.models", "rollback", "churn", "--reason", "too many letters"]
    done = subprocess.run(command, env=os.environ | settings, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "churn@2 m-2 is the champion again\n"), done.stderr
    listed = models("list", "churn").stdout.splitlines()
    assert [line.split(":")[0] for line in listed] == [
        "churn@1 m-1 alias=previous status=retired",
        "churn@2 m-2 alias=champion status=champion",
        "churn@3 m-3 status=rolled_back",
    ]
    shown = models("show", "churn").stdout
    assert shown.startswith("# m-2\n")
    assert "UTC: m-2, after m-3: m-3 was rolled back: too many letters" in shown
    assert models("show", "churn", "--version", "3").stdout.startswith("# m-3\n")
    assert models("rollback", "churn", "--reason", "still").returncode == 0
    refused = models("rollback", "churn", "--reason", "more")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no former champion to go back to" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("rollback", "churn"), 2, "--reason"),
        (("rollback", "churn", "--reason", "x"), 1, "nothing to roll back"),
        (("list", "churn"), 1, "holds no model 'churn'"),
        (("show", "churn"), 1, "Name one with --version"),
        (("show", "churn", "--version", "7"), 1, "no version 7"),
    ],
)
def test_what_a_command_cannot_do_it_says(models, tmp_path, words, code, said):
    sqlite_registry(tmp_path / "models")
    done = models(*words)
    assert done.returncode == code
    assert said in done.stderr
