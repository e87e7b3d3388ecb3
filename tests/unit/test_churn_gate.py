"""The gate that a churn model must pass."""

from __future__ import annotations

import math
from typing import Any

import pytest

from include.models.churn.gate import judge

GOOD = {"auc": 0.8, "average_precision": 0.7, "expected_calibration_error": 0.05}
BASELINE = {"auc": 0.7, "average_precision": 0.6, "expected_calibration_error": 0.01}


def test_better_everywhere_calibrated_and_no_alarm_passes_with_all_figures():
    verdict = judge(
        {"model": GOOD, "recency_only": BASELINE, "champion": {**GOOD, "auc": 0.79, "average_precision": 0.69}}
    )
    assert verdict.is_passed
    assert verdict.reason == (
        "it beats all: auc 0.8000 against 0.7000 of recency_only; average_precision 0.7000 against 0.6000 of "
        "recency_only; auc 0.8000 against 0.7900 of champion; average_precision 0.7000 against 0.6900 of champion; "
        "expected calibration error 0.0500"
    )


@pytest.mark.parametrize(
    ("own", "options", "said"),
    [
        ({"auc": 0.7}, {}, "auc 0.7000 against 0.7000 of recency_only"),
        ({"average_precision": 0.59}, {}, "average_precision 0.5900 against 0.6000 of recency_only"),
        ({"auc": math.nan}, {}, "auc nan against 0.7000 of recency_only"),
        ({"expected_calibration_error": 0.1001}, {}, "expected calibration error 0.1001 above 0.1000"),
        ({"expected_calibration_error": math.nan}, {}, "expected calibration error nan above 0.1000"),
        ({}, {"largest_calibration_error": 0.04}, "expected calibration error 0.0500 above 0.0400"),
        ({}, {"canaries": ["recency_days alone has AUC 0.99"]}, "alarm of a leak: recency_days alone has AUC 0.99"),
    ],
)
def test_each_condition_alone_keeps_a_model_out(own: dict[str, float], options: dict[str, Any], said: str):
    verdict = judge({"model": {**GOOD, **own}, "recency_only": BASELINE}, **options)
    assert not verdict.is_passed
    assert verdict.reason == f"it does not pass: {said}"


def test_an_error_exactly_at_the_limit_passes():
    assert judge({"model": {**GOOD, "expected_calibration_error": 0.1}, "recency_only": BASELINE}).is_passed


def test_intervals_are_told_and_do_not_decide():
    wide = {"recency_only": {"auc": (-0.01, 0.2)}}
    verdict = judge({"model": GOOD, "recency_only": BASELINE}, differences=wide)
    assert verdict.is_passed
    assert "auc 0.8000 against 0.7000 of recency_only (lead -0.0100 to +0.2000);" in verdict.reason
