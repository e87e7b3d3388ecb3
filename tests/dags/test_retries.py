"""What Airflow does after each kind of error: give the host time, or fail at once for a person to mend."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest


def decision(error: Exception):
    from orchestration.retries import DEFAULT_ARGUMENTS

    return DEFAULT_ARGUMENTS["retry_policy"].evaluate(error, try_number=1, max_tries=3)


@pytest.mark.parametrize(("name", "minutes"), [("CircuitOpen", 2), ("SourceUnreachable", 5)])
def test_a_host_that_is_sick_or_busy_gets_time(name, minutes):
    from airflow.sdk import RetryAction

    error = getattr(import_module("include.sources.errors"), name)("the host is sick")
    found = decision(error)
    assert (found.action, found.retry_delay) == (RetryAction.RETRY, timedelta(minutes=minutes))


def test_a_circuit_is_tried_again_by_airflow_only_after_its_rest():
    from orchestration.retries import NEEDS_TIME

    from include.sources.limits import HttpLimits

    assert NEEDS_TIME["include.sources.errors.CircuitOpen"].total_seconds() > HttpLimits().circuit_seconds


def errors_of(module: str, *, but: tuple[str, ...] = ()) -> list[type[Exception]]:
    """The errors that a module defines."""
    defined = vars(import_module(module)).values()
    errors = [each for each in defined if isinstance(each, type) and issubclass(each, Exception)]
    return [each for each in errors if each.__module__ == module and each.__name__ not in but]


def test_every_error_of_a_source_or_of_ingestion_either_gets_time_or_fails_at_once():
    from airflow.sdk import RetryAction

    of_sources = errors_of("include.sources.errors", but=("SourceError",))
    of_ingestion = errors_of("include.ingestion.errors")
    of_warehouse = errors_of("include.warehouse.errors")
    assert len(of_sources) >= 6 and len(of_ingestion) >= 9
    assert "ReceiptDoesNotClose" in {each.__name__ for each in of_warehouse}
    kinds = [*of_sources, *of_ingestion, *of_warehouse]
    actions = {kind.__name__: decision(kind("what happened")).action for kind in kinds}
    assert set(actions.values()) == {RetryAction.RETRY, RetryAction.FAIL}, actions
    assert {name for name, action in actions.items() if action is RetryAction.RETRY} == {
        "SourceUnreachable", "CircuitOpen", "LandingUnreachable", "LandingNotWritable",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["LandingUnreachable", "LandingNotWritable"])
def test_a_store_that_is_away_or_full_gets_time(name):
    from airflow.sdk import RetryAction

    found = decision(getattr(import_module("include.ingestion.errors"), name)("the store is full"))
    assert (found.action, found.retry_delay) == (RetryAction.RETRY, timedelta(minutes=5))


def test_an_error_that_nobody_foresaw_is_retried_as_airflow_would():
    from airflow.sdk import RetryAction

    assert decision(KeyError("unforeseen")).action is RetryAction.DEFAULT
