"""Canaries sing when a leak is put in, and are silent on honest data."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.models.churn.canaries import (
    features_that_tell_all,
    look_for_leaks,
    random_splits_that_flatter,
    shuffled_labels_that_score,
    unseen_customers,
)
from include.models.churn.candidates import LabelledRows, fit_candidate
from tests.unit.churn_rows import made_up_rows

HORIZON = 90


def split(rows: LabelledRows) -> tuple[LabelledRows, LabelledRows]:
    last = rows.days.max()
    return rows.take(rows.days + HORIZON <= last), rows.take(rows.days == last)


def with_column(rows: LabelledRows, name: str, values: np.ndarray) -> LabelledRows:
    place = rows.table.schema.get_field_index(name)
    column = pa.array(values, pa.float64(), from_pandas=True)
    return LabelledRows(rows.table.set_column(place, pa.field(name, pa.float64()), column))


def fit(rows: LabelledRows):
    return fit_candidate("logistic", rows, horizon_days=HORIZON, seed=0).probabilities


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_honest_data_raises_no_alarm(seed):
    training, test = split(made_up_rows(seed=seed, customers=500))
    assert look_for_leaks(training, test, horizon_days=HORIZON, seed=seed) == []


def test_a_feature_that_looked_into_the_label_window_is_named():
    rows = made_up_rows(seed=4)
    random = np.random.default_rng(4)
    leaking = np.where(rows.outcomes, 0.0, 50.0) + random.normal(0, 10, len(rows))
    (alarm,) = features_that_tell_all(with_column(rows, "revenue_amount_90d", leaking))
    assert alarm.startswith("revenue_amount_90d alone tells who churned with an AUC of 0.99")


def test_a_feature_that_is_known_only_for_those_who_came_back_is_named():
    rows = made_up_rows(seed=5)
    known = np.where(rows.outcomes, np.nan, np.random.default_rng(5).random(len(rows)))
    (alarm,) = features_that_tell_all(with_column(rows, "days_since_last_visit", known))
    assert alarm.startswith("days_since_last_visit alone")


def test_a_way_of_training_that_has_seen_the_test_rows_foretells_shuffled_labels():
    """The labels of the test slip into training by the rows' own keys, whatever they are."""
    training, test = split(made_up_rows(seed=6))
    assert shuffled_labels_that_score(training, test, fit, seed=1) == []

    def peeking(_: LabelledRows):
        return lambda table: table["is_churned"].to_numpy() + np.random.default_rng(1).normal(0, 1, len(table))

    (alarm,) = shuffled_labels_that_score(training, test, peeking, seed=1)
    assert alarm.startswith("labels shuffled at random are foretold with an AUC of 0.7")


def test_a_model_that_learns_persons_flatters_in_a_random_split():
    """It knows a customer's labels at other snapshots, whose windows overlap with the one it is judged on."""
    rows = made_up_rows(seed=7, customers=600, snapshots=10, step_days=14)
    assert random_splits_that_flatter(rows, fit, horizon_days=HORIZON, seed=1) == []

    def remember(part: LabelledRows):
        last = dict(zip(part.customers.tolist(), part.outcomes.tolist(), strict=True))  # snapshots come oldest first
        return lambda table: np.array([float(last.get(each, 0.5)) for each in table["customer_id"].to_pylist()])

    (alarm,) = random_splits_that_flatter(rows, remember, horizon_days=HORIZON, seed=1)
    assert alarm.startswith("a random split shows an AUC of")


def test_too_few_rows_raise_no_alarm_by_chance():
    rows = made_up_rows(seed=8, customers=12)
    training, test = split(rows)
    assert look_for_leaks(training, test, horizon_days=HORIZON, seed=1) == []


def test_customers_without_a_row_in_training_are_those():
    training, test = split(made_up_rows(seed=9))
    known = set(training.customers.tolist())
    assert unseen_customers(training, test).tolist() == [each not in known for each in test.customers.tolist()]
