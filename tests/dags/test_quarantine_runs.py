"""The replay of quarantine and the summary through the code path of `airflow dags test`."""

from __future__ import annotations

import logging
from dataclasses import replace

import pyarrow.compute as pc
import pytest

from include.entities.entity import Rule
from include.sources.open_meteo import OpenMeteo
from tests.dags.test_runs import JUNE_1, JUNE_2, query, ranged, run

HOT = Rule("not_so_hot", lambda t: pc.less(t["temperature_max_celsius"], -100), "too hot")
COLD_DAYS = replace(OpenMeteo.entity, rules=(HOT,), expectations=(), rejection_limit=replace(
    OpenMeteo.entity.rejection_limit, at_least_rows=1000))  # fmt: skip


@pytest.fixture
def rejected(dag_bag, platform, monkeypatch) -> int:
    """A run that rejected every day of weather, by a rule that nobody wants."""
    with monkeypatch.context() as wrong:
        wrong.setattr(OpenMeteo, "entity", COLD_DAYS)
        run(dag_bag, "market_signals", run_conf=ranged(JUNE_1, JUNE_2))
    ((count,),) = query(platform, "SELECT count(*) FROM quarantine.rejected_rows WHERE resolved_at IS NULL")
    assert count > 0 and query(platform, "SELECT count(*) FROM signals.weather_daily") == [(0,)]
    return count


def test_a_replay_by_hand_loads_what_now_passes(dag_bag, platform, rejected):
    states = run(dag_bag, "quarantine_replay", run_conf={"entity": "weather_daily", "rule": "not_so_hot"})
    assert states == {"replay_quarantine": "success"}
    assert query(platform, "SELECT count(*) FROM signals.weather_daily") == [(rejected,)]
    resolved = query(platform, "SELECT DISTINCT resolution FROM quarantine.rejected_rows")
    assert resolved == [("loaded",)]
    runs = query(platform, "SELECT DISTINCT left(run_id, 8) FROM quarantine.rejected_rows")
    assert runs == [("manual__",)]


def test_a_replay_that_leaves_rows_behind_fails_at_once_and_says_so(dag_bag, platform, rejected, monkeypatch):
    monkeypatch.setattr(OpenMeteo, "entity", COLD_DAYS)
    dag_run = dag_bag.dags["quarantine_replay"].test(run_conf={"start": JUNE_1.isoformat()})
    assert dag_run.state == "failed"
    assert all(instance.try_number <= 1 for instance in dag_run.get_task_instances()), "it was tried again"


def test_a_run_ends_with_a_summary_also_of_what_failed(dag_bag, platform, monkeypatch, caplog):
    strict = replace(COLD_DAYS, rejection_limit=OpenMeteo.entity.rejection_limit)
    monkeypatch.setattr(OpenMeteo, "entity", strict)
    with caplog.at_level(logging.INFO):
        dag_run = dag_bag.dags["market_signals"].test(run_conf=ranged(JUNE_1, JUNE_2))
    states = {instance.task_id: str(instance.state) for instance in dag_run.get_task_instances()}
    assert (states["validate_weather_daily"], states["summarize_window"]) == ("failed", "success")
    assert "daily_summary_reason entity=weather_daily window=2024-06-01/2024-06-02 rule=not_so_hot" in caplog.text
    assert dag_run.state == "failed", "a summary makes no run succeed"
