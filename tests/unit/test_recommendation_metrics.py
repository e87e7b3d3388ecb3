"""Metrics of lists beside their definitions in plain Python, and what a bootstrap interval must be."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.models.recommendations.ranking_metrics import AT, METRICS, bootstrap, coverage, per_customer

PRODUCTS = range(30)
lists_of_products = st.lists(st.sampled_from(PRODUCTS), unique=True, max_size=AT)
sets_of_products = st.sets(st.sampled_from(PRODUCTS), min_size=1, max_size=20)


def by_definition(recommended: list[int], relevant: set[int]) -> dict[str, float]:
    """One customer, one place of the list after the other."""
    hits, gain, precisions = 0, 0.0, 0.0
    for place, product in enumerate(recommended, 1):
        if product in relevant:
            hits += 1
            gain += 1 / math.log2(place + 1)
            precisions += hits / place
    best = min(len(relevant), 10)
    return {
        "precision": hits / 10,
        "recall": hits / len(relevant),
        "ndcg": gain / sum(1 / math.log2(place + 1) for place in range(1, best + 1)),
        "map": precisions / best,
        "hit_rate": 1.0 if hits else 0.0,
    }


@given(st.lists(st.tuples(lists_of_products, sets_of_products), min_size=1, max_size=8))
def test_every_metric_is_what_its_definition_says(customers):
    hits = np.zeros((len(customers), AT), bool)
    for row, (recommended, relevant) in enumerate(customers):
        hits[row, : len(recommended)] = [product in relevant for product in recommended]
    found = per_customer(hits, np.array([len(relevant) for _, relevant in customers]))
    for row, (recommended, relevant) in enumerate(customers):
        assert dict(zip(METRICS, found[row], strict=True)) == pytest.approx(by_definition(recommended, relevant))
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()


@given(st.lists(lists_of_products, min_size=1, max_size=8))
def test_coverage_counts_each_recommended_product_once(lists):
    padded = np.array([each + [-1] * (AT - len(each)) for each in lists])
    assert coverage(padded, products=len(PRODUCTS)) == len({p for each in lists for p in each}) / len(PRODUCTS)


def test_an_interval_of_a_mean_is_that_of_the_normal_approximation_where_there_are_many_customers():
    values = np.random.default_rng(7).gamma(2.0, 1.0, (4000, 2))
    low, high = bootstrap(values, resamples=2000, seed=1)
    error = values.std(axis=0) / math.sqrt(len(values))
    assert low == pytest.approx(values.mean(axis=0) - 1.96 * error, abs=0.25 * error.max())
    assert high == pytest.approx(values.mean(axis=0) + 1.96 * error, abs=0.25 * error.max())


def test_the_interval_of_a_difference_is_that_of_the_same_customers():
    """Two methods that differ by the same for everybody: nothing is uncertain about the difference."""
    popular = np.random.default_rng(7).random(500)
    low, high = bootstrap(np.column_stack([popular, popular + 0.1 - popular]), resamples=200, seed=1)
    assert high[0] - low[0] > 0.02
    assert (low[1], high[1]) == pytest.approx((0.1, 0.1))


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(3).random((50, 3))
    first, again = (np.array(bootstrap(values, resamples=120, seed=5)) for _ in range(2))
    assert (first == again).all()
    assert (first != np.array(bootstrap(values, resamples=120, seed=6))).any()
