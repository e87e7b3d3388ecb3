"""What speaks for a product: four sources, each giving customers by products a score from 0 on, 0 being nothing.

All of them see the history before the cut and nothing else. None of them draws at random but the factors, which start
from a seed and are computed by one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight, normalize, tfidf_weight
from scipy.sparse import coo_matrix, csr_matrix
from threadpoolctl import threadpool_limits

from include.models.recommendations.purchases import Floats, History, Numbers

Scores = npt.NDArray[np.float32]

SIMILARITIES: dict[str, Callable[[csr_matrix], coo_matrix]] = {
    "cosine": normalize,
    "bm25": lambda bought: bm25_weight(bought, K1=1.2, B=0.75),
    "tfidf": lambda bought: normalize(tfidf_weight(bought)),
}
"""How products by customers are weighted before products are compared; as in the recommenders of `implicit`."""


class Source(Protocol):
    """Scores of all products for some customers."""

    def scores(self, customers: Numbers) -> Scores:
        """One row per customer (by number), one column per product; finite, and not below 0."""
        ...


class Popularity:
    """What is bought most, where a purchase counts half after each half-life; the same for every customer."""

    def __init__(self, history: History, *, half_life_days: float) -> None:
        weights = np.exp2(-history.ages / half_life_days)
        self.products: Floats = np.asarray(
            np.bincount(history.products, weights, minlength=history.shape[1]), np.float64
        )

    def scores(self, customers: Numbers) -> Scores:
        return np.broadcast_to(self.products.astype(np.float32), (len(customers), len(self.products)))


class ItemToItem:
    """Products like those that the customer bought, by who else bought them.

    :param similarity: `cosine`, `bm25` or `tfidf`, as `implicit` defines them.
    :param memory_days: a purchase says half as much after so many days, of the customer and of the product.
    :param neighbours: how many similar products are kept per product.
    """

    def __init__(self, history: History, *, similarity: str, memory_days: float, neighbours: int) -> None:
        self._bought = history.matrix(np.exp2(-history.pairs.last_days / memory_days))
        if min(history.shape) < 2:
            self._similar = csr_matrix((history.shape[1], history.shape[1]))
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            weighted = SIMILARITIES[similarity](self._bought.T)
        model = ItemItemRecommender(K=neighbours + 1, num_threads=1)
        model.fit(weighted.T.tocsr(), show_progress=False)
        self._similar = _positive(model.similarity)

    def scores(self, customers: Numbers) -> Scores:
        return np.asarray((self._bought[customers] @ self._similar).toarray(), dtype=np.float32)


class Factors:
    """Customers and products as vectors, by alternating least squares (`implicit`) on who bought what how often.

    :param factors: length of the vectors.
    :param memory_days: a purchase says half as much after so many days.
    """

    CONFIDENCE = 10.0
    REGULARISATION = 10.0
    ITERATIONS = 15

    def __init__(self, history: History, *, factors: int, memory_days: float, seed: int) -> None:
        customers, products = history.shape
        self._customers = np.zeros((customers, 1), np.float32)
        self._products = np.zeros((products, 1), np.float32)
        if min(history.shape) < 2:
            return
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=min(factors, customers, products),
                regularization=self.REGULARISATION,
                alpha=self.CONFIDENCE,
                iterations=self.ITERATIONS,
                num_threads=1,
                random_state=seed,
            )
            weights = np.log1p(history.pairs.counts) * np.exp2(-history.pairs.last_days / memory_days)
            model.fit(history.matrix(weights), show_progress=False)
        self._customers, self._products = model.user_factors, model.item_factors

    def scores(self, customers: Numbers) -> Scores:
        with threadpool_limits(1, "blas"):
            return np.maximum(self._customers[customers] @ self._products.T, 0)


def _positive(similarity: csr_matrix) -> csr_matrix:
    """Without a product's likeness to itself, and without what is no likeness: 0, negative or undefined."""
    rows, columns = similarity.nonzero()
    values = np.asarray(similarity[rows, columns]).ravel()
    kept = (rows != columns) & np.isfinite(values) & (values > 0)
    return csr_matrix((values[kept], (rows[kept], columns[kept])), shape=similarity.shape)
