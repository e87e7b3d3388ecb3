"""`python -m include.features`: what it prints, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from include.entities.window import Window
from include.features.__main__ import main
from include.features.building.build import build_view
from include.features.registry import FEATURE_VIEWS
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from tests.command_line import ended
from tests.integration.feature_shop import DAY, NOW, Event, Order, day, load
from tests.integration.sandbox_process import ROOT
from tests.own_database import connection

START = day("2024-01-01")


@pytest.fixture
def settings(warehouse_dsn) -> dict[str, str]:
    """What a command finds in its environment."""
    return {"AIRFLOW_CONN_WAREHOUSE": connection(warehouse_dsn)}


@pytest.fixture
def features(settings, capsys):
    """Runs a command in this process."""
    return lambda *words, **variables: ended(main, words, settings | variables, capsys)


def test_status_tells_of_each_view_what_is_there_and_what_a_build_would_do(warehouse, settings):
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    build_view(warehouse, CUSTOMER_ACTIVITY, Window(START, START + DAY * 5), now=NOW)
    load(warehouse, [Event("late", 3, START + DAY * 3)])
    command = [sys.executable, "-m", "include.features", "status", "--start", "2024-01-01", "--end", "2024-01-08"]
    told = subprocess.run(command, env=os.environ | settings, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    lines = dict(line.split(" ", 1) for line in told.stdout.splitlines())
    assert lines["customer_activity@1"] == (
        "built=5 missing=2 thinned=0 stale=2 newest=2024-01-06 is_published=False "
        "would_build=2 would_rebuild=0 would_repair_pairs=2"
    )
    assert len(lines) == len(FEATURE_VIEWS)


def test_upkeep_measures_thins_by_the_policy_and_forgets(warehouse, features):
    load(warehouse, [Order(1, 1, START)])
    build_view(warehouse, CUSTOMER_ACTIVITY, Window(START, START + DAY * 60), now=NOW)
    told = features(
        "upkeep", REGULARS_FEATURE_DAILY_DAYS="1", REGULARS_FEATURE_WEEKLY_DAYS="2", REGULARS_FEATURE_MONTHLY_DAYS="3"
    )
    assert told.returncode == 0, told.stderr
    assert "customer_activity@1 measured_snapshots=60 removed_rows=59" in told.stdout.splitlines()
    assert warehouse.execute("SELECT count(*) FROM features.customer_activity").fetchone() == (1,)


def test_apply_names_every_view_and_compact_and_retire_take_versions(features):
    assert features("apply").stdout.split() == [f"{name}@1" for name in FEATURE_VIEWS]
    compacted = features("compact", "customer_rfm@1")
    assert compacted.stdout.startswith("customer_rfm@1 bytes=")


@pytest.mark.parametrize(
    ("words", "variables", "says"),
    [
        (("retire", "customer_rfm@1"), {}, "customer_rfm@1 is how the code defines the view now"),
        (("retire", "customer_rfm@7"), {}, "has no version 7. It has: [1]"),
        (("compact", "customer_rfm"), {}, "'customer_rfm' names no version"),
        (("status", "--start", "soon", "--end", "2024-01-01"), {}, "'soon' is no date"),
        (("status", "--start", "2024-01-02", "--end", "2024-01-01"), {}, "2024-01-02"),
        (("upkeep",), {"REGULARS_FEATURE_DAILY_DAYS": "few"}, "REGULARS_FEATURE_DAILY_DAYS is 'few'"),
        (("upkeep",), {"REGULARS_FEATURE_WEEKLY_DAYS": "3"}, "daily <= weekly <= monthly"),
        (("apply",), {"AIRFLOW_CONN_WAREHOUSE": ""}, "AIRFLOW_CONN_WAREHOUSE is no JSON object"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(features, words, variables, says):
    told = features(*words, **variables)
    assert told.returncode == 2, told.stdout
    assert says in told.stderr
