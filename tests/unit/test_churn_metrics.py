"""The metrics against their definitions, written out the long way."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.models.metrics import Judged, auc, bootstrap, calibration, gains, judge, lift

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


def log_loss(rows) -> float:
    return -sum(math.log(max(p if o else 1 - p, 1e-9)) for o, p in rows) / len(rows)


@given(rows=scored_rows)
def test_log_loss_precision_and_lift_equal_their_definitions(rows):
    metrics = judge(*arrays(rows))
    assert math.isclose(metrics["log_loss"], log_loss(rows), rel_tol=1e-9)
    ranked = sorted(rows, key=lambda row: -row[1])
    rate = sum(o for o, _ in rows) / len(rows)
    for share in (0.05, 0.10, 0.20):
        wanted, hits, left = share * len(rows), 0.0, share * len(rows)
        for border in sorted({p for _, p in ranked}, reverse=True):
            group = [o for o, p in ranked if p == border]
            part = min(1.0, left / len(group))
            hits, left = hits + part * sum(group), left - part * len(group)
        name = f"at_{round(100 * share)}_percent"
        assert math.isclose(metrics[f"precision_{name}"], hits / wanted, abs_tol=1e-9)
        assert math.isclose(metrics[f"lift_{name}"], hits / wanted / rate, abs_tol=1e-9)
        assert math.isclose(lift(*arrays(rows), share=share), hits / wanted / rate, abs_tol=1e-9)


@given(rows=scored_rows, counts=st.lists(st.integers(0, 4), min_size=40, max_size=40))
def test_a_row_of_weight_n_counts_as_n_equal_rows(rows, counts):
    own = counts[: len(rows)]
    repeated = [row for row, count in zip(rows, own, strict=True) for _ in range(count)]
    if not 0 < sum(o for o, _ in repeated) < len(repeated):
        return
    weighted = Judged(*arrays(rows)).metrics(np.array([own, [1] * len(rows)], dtype=float))
    for metric, value in judge(*arrays(repeated)).items():
        assert math.isclose(weighted[metric][0], value, abs_tol=1e-9), metric
        assert math.isclose(weighted[metric][1], judge(*arrays(rows))[metric], abs_tol=1e-9), metric


@given(rows=scored_rows)
def test_auc_alone_is_that_of_the_judge(rows):
    assert math.isclose(auc(*arrays(rows)), judge(*arrays(rows))["auc"], abs_tol=1e-12)


def test_an_interval_is_as_wide_as_theory_says_and_customers_are_drawn_with_all_of_their_rows():
    random = np.random.default_rng(3)
    probabilities = random.random(4000)
    outcomes = random.random(4000) < probabilities
    alone, _ = bootstrap(outcomes, {"model": probabilities}, np.arange(4000), seed=1)
    brier = (probabilities - outcomes) ** 2
    half = 1.96 * brier.std() / math.sqrt(4000)
    assert alone["model"]["brier"].high - alone["model"]["brier"].low == pytest.approx(2 * half, rel=0.12)
    assert alone["model"]["brier"].low < brier.mean() < alone["model"]["brier"].high
    fours = np.repeat(np.arange(1000), 4)
    again, _ = bootstrap(np.repeat(outcomes[:1000], 4), {"model": np.repeat(probabilities[:1000], 4)}, fours, seed=1)
    width = again["model"]["brier"].high - again["model"]["brier"].low
    assert width == pytest.approx(4 * half, rel=0.15)  # a thousand customers, not four thousand rows


def test_the_difference_of_equal_scorers_is_zero_and_of_a_better_one_above_it():
    random = np.random.default_rng(4)
    probabilities = random.random(3000)
    outcomes = random.random(3000) < probabilities
    worse = np.clip(probabilities + random.normal(0, 0.5, 3000), 0.01, 0.99)
    scored = {"model": probabilities, "same": probabilities.copy(), "worse": worse}
    _, differences = bootstrap(outcomes, scored, np.arange(3000), seed=1)
    assert (differences["same"]["auc"].low, differences["same"]["auc"].high) == (0, 0)
    assert differences["worse"]["auc"].low > 0


def test_gains_end_with_everyone_and_rise_as_fast_as_the_outcomes_allow():
    outcomes = np.array([True] * 2 + [False] * 8)
    shares = np.array([0, 0.1, 0.2, 0.5, 1])
    assert gains(outcomes, np.linspace(1, 0, 10), shares=shares).tolist() == [0, 0.5, 1, 1, 1]
    assert gains(outcomes, np.full(10, 0.5), shares=shares).tolist() == pytest.approx(shares.tolist())
