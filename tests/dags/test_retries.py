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


def test_every_error_of_a_source_either_gets_time_or_fails_at_once():
    from airflow.sdk import RetryAction

    errors = import_module("include.sources.errors")
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and each is not errors.SourceError]
    assert len(kinds) >= 6
    for kind in kinds:
        action = decision(kind("what happened")).action
        assert action is (RetryAction.RETRY if issubclass(kind, errors.SourceUnreachable) else RetryAction.FAIL), kind


def test_an_error_that_nobody_foresaw_is_retried_as_airflow_would():
    from airflow.sdk import RetryAction

    assert decision(KeyError("unforeseen")).action is RetryAction.DEFAULT
