"""Who buys the same again: by how often and how long ago they bought it, by the product, and by the customer."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from include.models.recommendations.purchases import DAY, Floats, History, Numbers, Purchases, numbers_in
from include.models.recommendations.sources import Scores

COUNT_EDGES = (2, 3, 5, 9)
"""Orders with the product: 1, 2, 3 to 4, 5 to 8, more."""
DAY_EDGES = (7, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365)
"""Days since the last of them."""
PRIOR_CASES = 50.0
"""So many cases of the whole table stand in each cell of it beforehand."""
PRIOR_REPEATS = 3.0
"""So many expected repeats speak for the ordinary, per product and per customer."""


class Repeats:
    """How probable it is that a customer buys a product again within the horizon after the cut.

    The horizon before the cut is the teacher: of the pairs of customer and product known at its start, which were
    bought again in it? The share per cell (orders with the product, days since the last) is drawn towards that of the
    whole table; times what the product, and what the customer, did beside what the cells expected of them.
    """

    def __init__(self, history: History, *, horizon_days: float) -> None:
        pairs, self._shape = history.pairs, history.shape
        cells = _cells(pairs.counts, pairs.last_days)
        rates, product_factors, customer_factors = _learned(history, horizon_days=horizon_days)
        chance = rates[cells] * product_factors[pairs.products] * customer_factors[pairs.customers]
        self._chances = history.matrix(np.minimum(chance, 1.0))

    def scores(self, customers: Numbers) -> Scores:
        return np.asarray(self._chances[customers].toarray(), dtype=np.float32)


def _learned(history: History, *, horizon_days: float) -> tuple[Floats, Floats, Floats]:
    """The rate per cell, and the factor per product and per customer."""
    customers, products = history.shape
    everyone = Purchases(
        history.customer_ids[history.customers], history.product_ids[history.products], history.paid_at
    )
    earlier = History(everyone, at=history.at - round(horizon_days * DAY))
    pairs = earlier.pairs
    cells = _cells(pairs.counts, pairs.last_days)
    number = (len(COUNT_EDGES) + 1) * (len(DAY_EDGES) + 1)
    if len(pairs.counts) == 0:
        return np.full(number, 0.05), np.ones(products), np.ones(customers)
    who = numbers_in(history.customer_ids, earlier.customer_ids)[pairs.customers]
    what = numbers_in(history.product_ids, earlier.product_ids)[pairs.products]
    lately = history.ages <= horizon_days
    bought: csr_matrix = csr_matrix(
        (np.ones(lately.sum()), (history.customers[lately], history.products[lately])), shape=history.shape
    )
    repeated = np.asarray(bought[who, what]).ravel() > 0
    overall = (repeated.sum() + 1.0) / (len(repeated) + 20.0)
    cases = np.bincount(cells, minlength=number)
    rates = (np.bincount(cells, repeated, minlength=number) + PRIOR_CASES * overall) / (cases + PRIOR_CASES)
    expected = rates[cells]
    product_factors = _factor(repeated, expected, what, products)
    customer_factors = _factor(repeated, expected * product_factors[what], who, customers)
    return rates, product_factors, customer_factors


def _factor(repeated: np.ndarray, expected: Floats, groups: Numbers, count: int) -> Floats:
    """Repeats beside expected ones, per group, drawn towards 1."""
    seen = np.bincount(groups, repeated, minlength=count)
    return (seen + PRIOR_REPEATS) / (np.bincount(groups, expected, minlength=count) + PRIOR_REPEATS)


def _cells(counts: Numbers, last_days: Floats) -> Numbers:
    count_bins = np.searchsorted(COUNT_EDGES, counts, side="right")
    day_bins = np.searchsorted(DAY_EDGES, last_days, side="right")
    return count_bins * (len(DAY_EDGES) + 1) + day_bins
