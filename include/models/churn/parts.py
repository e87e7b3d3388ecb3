"""The parts of a churn model, each from a matrix of inputs to the log-odds of churn.

Each computes a row from that row alone and gives it the same bits alone, in a batch and in any order: additions run in
a fixed order, and there is no matrix product, whose order of additions depends on the shape of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from include.models.churn.columns import Matrix, Vector

LARGEST_LOG_ODDS = 12.0
"""Log-odds are kept within this of zero: nobody is known with more certainty than 1 in 160,000."""
_FEW_ROWS = 256


class Part(Protocol):
    """One opinion about who leaves."""

    def log_odds(self, matrix: Matrix) -> Vector:
        """Log-odds of churn, one per row."""
        ...


class PurchaseProbability(Protocol):
    """A model of who buys when, such as BG/NBD."""

    def probability_of_purchase(self, horizon_days: float, x: Vector, t_x: Vector, T: Vector) -> Vector:
        """Probability of at least one purchase in the next `horizon_days`."""
        ...


@dataclass(frozen=True)
class PurchasePart:
    """A model of purchases in time as a part: it looks at frequency, recency and age alone.

    :param places: of the columns `repeat_purchase_days`, time since the last purchase, `lifetime_age_days`.
    """

    model: PurchaseProbability
    horizon_days: int
    places: tuple[int, int, int]

    def log_odds(self, matrix: Matrix) -> Vector:
        is_known, repeats, last, age = histories_of(matrix[:, self.places])
        bought = self.model.probability_of_purchase(float(self.horizon_days), repeats, last, age)
        return np.where(is_known, log_odds_of(1.0 - bought), 0.0)


def histories_of(inputs: Matrix) -> tuple[npt.NDArray[np.bool_], Vector, Vector, Vector]:
    """Who is known, and `x`, `t_x` and `T` in days, from repeat purchase days, days since the last purchase and age.

    `t_x` counts days of the calendar: what was bought within a day before midnight is a day ago at midnight. Who is not
    known gets a history that can be computed with.
    """
    repeats, since, age = (np.ascontiguousarray(own) for own in inputs.T)
    is_known = ~(np.isnan(repeats) | np.isnan(since) | np.isnan(age))
    repeats, since, age = (np.where(is_known, own, 1.0) for own in (repeats, since, age))
    age = np.maximum(age, 1.0)
    return is_known, repeats, np.where(repeats > 0, np.clip(age - np.ceil(since), 1.0, age), 0.0), age


@dataclass(frozen=True)
class LinearPart:
    """A logistic regression on standardised logarithms, with a term for each input that may be unknown.

    :param weights: per input of its standardised logarithm, then per input of being unknown.
    """

    fill: Vector
    mean: Vector
    deviation: Vector
    weights: Vector
    intercept: float

    def log_odds(self, matrix: Matrix) -> Vector:
        return in_order(self.intercept, self.terms(matrix) * self.weights)

    def terms(self, matrix: Matrix) -> Matrix:
        """What the weights are of: standardised logarithms, then 1 where an input is unknown."""
        is_unknown = np.isnan(matrix)
        known = signed_log1p(np.where(is_unknown, self.fill, matrix))
        return np.concatenate([(known - self.mean) / self.deviation, is_unknown.astype(np.float64)], axis=1)


@dataclass(frozen=True)
class TreesPart:
    """A gradient boosting of shallow trees by scikit-learn.

    Few rows are walked through all trees at once in numpy: scikit-learn's own call costs a millisecond whatever the
    number of rows, and starts threads for each tree. Both ways add the same leaves in the same order.
    """

    booster: Any

    def log_odds(self, matrix: Matrix) -> Vector:
        if len(matrix) > _FEW_ROWS:
            # What `decision_function` does, in one thread: two that wait for each other at every tree are slower on a
            # machine with other work, and who scores millions has more than one process.
            return np.ascontiguousarray(self.booster._raw_predict(matrix, n_threads=1)[:, 0])
        return self._forest.log_odds(matrix)

    @cached_property
    def _forest(self) -> Forest:
        trees = [predictor.nodes for round_ in self.booster._predictors for predictor in round_]
        return Forest.of(trees, start=float(self.booster._baseline_prediction.ravel()[0]))

    def __getstate__(self) -> dict[str, Any]:
        return {"booster": self.booster}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class Forest:
    """Trees laid end to end; a leaf is its own child on both sides."""

    roots: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: Vector
    unknown_goes_left: npt.NDArray[np.bool_]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    value: Vector
    depth: int
    start: float

    @classmethod
    def of(cls, trees: Sequence[npt.NDArray[Any]], *, start: float) -> Forest:
        """From scikit-learn's tables of nodes."""
        sizes = [len(tree) for tree in trees]
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        nodes = np.concatenate(trees)
        own = np.arange(len(nodes))
        shift = np.repeat(offsets, sizes)
        is_leaf = nodes["is_leaf"].astype(bool)
        return cls(
            roots=offsets,
            feature=np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64),
            threshold=np.where(is_leaf, np.inf, nodes["num_threshold"]),
            unknown_goes_left=nodes["missing_go_to_left"].astype(bool),
            left=np.where(is_leaf, own, nodes["left"].astype(np.int64) + shift),
            right=np.where(is_leaf, own, nodes["right"].astype(np.int64) + shift),
            value=np.ascontiguousarray(nodes["value"]),
            depth=int(nodes["depth"].max()),
            start=start,
        )

    def log_odds(self, matrix: Matrix) -> Vector:
        rows = np.arange(len(matrix))[:, None]
        at = np.broadcast_to(self.roots, (len(matrix), len(self.roots)))
        for _ in range(self.depth):
            values = matrix[rows, self.feature[at]]
            goes_left = (values <= self.threshold[at]) | (np.isnan(values) & self.unknown_goes_left[at])
            at = np.where(goes_left, self.left[at], self.right[at])
        return in_order(self.start, self.value[at])


def in_order(start: float, terms: Matrix) -> Vector:
    """`start` and the terms of each row added one after the other, from the left."""
    total = np.empty((len(terms), terms.shape[1] + 1))
    total[:, 0] = start
    total[:, 1:] = terms
    return np.ascontiguousarray(np.add.accumulate(total, axis=1)[:, -1])


def signed_log1p(values: Matrix) -> Matrix:
    """Logarithm that keeps the sign: a customer may have been given back more than they paid."""
    return np.sign(values) * np.log1p(np.abs(values))


def log_odds_of(probability: Vector) -> Vector:
    """`log(p / (1 - p))`, kept within `LARGEST_LOG_ODDS` of zero."""
    with np.errstate(divide="ignore"):
        return np.clip(np.log(probability) - np.log1p(-probability), -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


def probability_of(log_odds: Vector) -> Vector:
    """`1 / (1 + exp(-z))`."""
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)))
