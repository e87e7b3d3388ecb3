"""The simple scorers that a churn model must beat, each a logistic curve over one number.

With the curve their probabilities can be judged too. `recency_only` looks at days since the last purchase, `rfm_score`
at the sum of the three scores, `bg_nbd` at the log-odds of BG/NBD fitted on the training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.linear_model import LogisticRegression

from include.models.churn.candidates import BG_NBD, LabelledRows, fit_candidate
from include.models.churn.columns import Vector
from include.models.churn.parts import probability_of

BASELINES = ("recency_only", "rfm_score", BG_NBD)
_SCORES = ("recency_score", "frequency_score", "monetary_score")


@dataclass(frozen=True)
class Baseline:
    """One number of a row, and the curve from it to a probability."""

    value: Callable[[pa.Table], Vector]
    slope: float
    intercept: float

    def probabilities(self, rows: pa.Table) -> Vector:
        """P(churn) of each row."""
        return probability_of(self.slope * self.value(rows) + self.intercept)


def fit_baseline(name: str, rows: LabelledRows, *, horizon_days: int) -> Baseline:
    """:param name: one of `BASELINES`."""
    if name == "recency_only":
        value: Callable[[pa.Table], Vector] = _recency
    elif name == "rfm_score":
        value = _rfm
    elif name == BG_NBD:
        model = fit_candidate(BG_NBD, rows, horizon_days=horizon_days, seed=0)

        def value(table: pa.Table) -> Vector:
            return model.raw_log_odds(model.columns.matrix(table))
    else:
        raise ValueError(f"There is no baseline {name!r}. There are: {', '.join(BASELINES)}.")
    numbers = value(rows.table)
    spread = float(numbers.std()) or 1.0
    curve = LogisticRegression(C=1e6).fit((numbers / spread)[:, None], rows.outcomes)
    return Baseline(value, float(curve.coef_[0, 0]) / spread, float(curve.intercept_[0]))


def _recency(rows: pa.Table) -> Vector:
    return rows["recency_days"].to_numpy()


def _rfm(rows: pa.Table) -> Vector:
    return np.sum([rows[name].to_numpy() for name in _SCORES], axis=0, dtype=np.float64)
