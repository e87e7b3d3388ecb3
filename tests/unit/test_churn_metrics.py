"""The metrics against their definitions, written out the long way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.models.churn.promote import compare
from include.models.metrics import calibration, expected_calibration_error, judge, lift

scored_rows = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.35, 0.5, 0.75, 0.9, 1.0])), min_size=4, max_size=40
).filter(lambda rows: 0 < sum(outcome for outcome, _ in rows) < len(rows))


def arrays(rows):
    return np.array([outcome for outcome, _ in rows]), np.array([probability for _, probability in rows])


@given(rows=scored_rows)
def test_every_metric_equals_its_definition(rows):
    metrics = judge(*arrays(rows))
    yes = [probability for outcome, probability in rows if outcome]
    no = [probability for outcome, probability in rows if not outcome]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in yes for b in no]
    assert math.isclose(metrics["auc"], sum(pairs) / len(pairs))
    assert math.isclose(metrics["brier"], sum((p - o) ** 2 for o, p in rows) / len(rows), abs_tol=1e-12)

    precision_steps, recall_before = 0.0, 0.0
    for border in sorted({p for _, p in rows}, reverse=True):
        taken = [outcome for outcome, p in rows if p >= border]
        recall = sum(taken) / len(yes)
        precision_steps += (recall - recall_before) * sum(taken) / len(taken)
        recall_before = recall
    assert math.isclose(metrics["average_precision"], precision_steps)

    distance = 0.0
    for number in range(10):
        inside = [(o, p) for o, p in rows if number / 10 <= p < (number + 1) / 10 or (number == 9 and p == 1)]
        if inside:
            distance += abs(sum(p for _, p in inside) - sum(o for o, _ in inside))
    assert math.isclose(metrics["expected_calibration_error"], distance / len(rows), abs_tol=1e-12)


def test_lift_counts_how_much_denser_the_top_tenth_is():
    outcomes = np.array([True, True] + [False] * 18)
    assert lift(outcomes, np.linspace(1, 0, 20), share=0.1) == pytest.approx(10)
    assert lift(outcomes, np.linspace(0, 1, 20), share=0.1) == 0


def test_rows_tied_at_the_border_count_in_part():
    outcomes = np.array([True, False, True, False, False, False, False, False, False, False] * 2)
    tied = np.full(20, 0.5)
    assert lift(outcomes, tied, share=0.1) == pytest.approx(1)
    half_tied = np.array(
        [0.9] + [0.5] * 19
    )  # the first row is sure, the second place is drawn from 19 with 3 of 4 left
    assert lift(outcomes, half_tied, share=0.1) == pytest.approx((1 + 3 / 19) / 2 / 0.2)


def test_calibration_bins_hold_what_was_foretold_and_what_came():
    bins = calibration(np.array([True, False, True, True]), np.array([0.12, 0.18, 1.0, 0.95]))
    assert [(b.number, b.row_count, b.observed_rate) for b in bins] == [(2, 2, 0.5), (10, 2, 1.0)]
    assert [b.mean_probability for b in bins] == pytest.approx([0.15, 0.975])
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.35 + 2 * 0.025) / 4)


def scores(**own):
    return {
        "model": {"auc": 0.8, "average_precision": 0.7} | own,
        "recency_only": {"auc": 0.7, "average_precision": 0.6},
        "rfm_score": {"auc": 0.6, "average_precision": 0.65},
    }


@pytest.mark.parametrize(
    ("own", "is_better"),
    [
        ({}, True),
        ({"auc": 0.7}, False),  # equal is not better
        ({"average_precision": 0.64}, False),
        ({"auc": 0.71, "average_precision": 0.66}, True),
    ],
)
def test_a_model_must_be_better_than_each_rival_in_both_metrics(own, is_better):
    assert compare(scores(**own))[0] is is_better


def test_the_reason_names_the_metric_the_numbers_and_the_rival():
    assert compare(scores(average_precision=0.64))[1] == (
        "it does not beat: average_precision 0.6400 against 0.6500 of rfm_score"
    )


def test_a_champion_is_a_rival_like_the_baselines():
    rivals = scores() | {"champion": {"auc": 0.8, "average_precision": 0.1}}
    assert compare(rivals) == (False, "it does not beat: auc 0.8000 against 0.8000 of champion")
