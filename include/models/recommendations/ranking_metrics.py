"""How good lists of ten are, and how sure that is.

With r relevant products for a customer and h(i) = 1 if the i-th of the list is one of them:

* precision = Σ h(i) / 10, also where the list is shorter; recall = Σ h(i) / r; hit rate = 1 if any h(i) is 1
* NDCG = Σ h(i) / log2(i + 1) over the same sum of a perfect list of min(r, 10) hits (Järvelin and Kekäläinen 2002)
* MAP: the mean over customers of Σ h(i) · precision of the first i / min(r, 10)
* coverage = products in any list / products that could be; no mean over customers
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from include.models.recommendations.purchases import Floats, Numbers

AT = 10
"""Length of the lists that are judged."""
METRICS = ("precision", "recall", "ndcg", "map", "hit_rate")

_DRAWN_AT_ONCE = 50
_DISCOUNTS = 1.0 / np.log2(np.arange(2, AT + 2))


def per_customer(hits: npt.NDArray[np.bool_], relevant: Numbers) -> Floats:
    """One row per customer, one column per metric of `METRICS`.

    :param hits: one row per customer, ten columns: whether that place of the list holds a relevant product.
    :param relevant: how many relevant products each customer has; at least 1.
    """
    found = hits.sum(axis=1)
    most = np.minimum(relevant, AT)
    precisions = np.cumsum(hits, axis=1) / np.arange(1, AT + 1)
    return np.column_stack(
        [
            found / AT,
            found / relevant,
            (hits * _DISCOUNTS).sum(axis=1) / np.cumsum(_DISCOUNTS)[most - 1],
            (hits * precisions).sum(axis=1) / most,
            found > 0,
        ]
    )


def coverage(lists: Numbers, *, products: int) -> float:
    """Share of the products that stand in any list; places that hold nothing are −1."""
    return len(np.unique(lists[lists >= 0])) / products if products else 0.0


def bootstrap(values: Floats, *, resamples: int, seed: int) -> tuple[Floats, Floats]:
    """The 2.5 and 97.5 percent points of each column's mean when customers (rows) are drawn anew."""
    means = np.concatenate(list(_resampled(values, resamples=resamples, seed=seed)))
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    return low, high


def _resampled(values: Floats, *, resamples: int, seed: int) -> Iterator[Floats]:
    random, count = np.random.default_rng(seed), len(values)
    for start in range(0, resamples, _DRAWN_AT_ONCE):
        drawn = random.integers(0, count, (min(_DRAWN_AT_ONCE, resamples - start), count))
        weights = np.stack([np.bincount(row, minlength=count) for row in drawn])
        yield weights @ values / count
