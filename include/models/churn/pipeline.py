"""The churn model, and the two simple scorers it must beat.

The model is the mean of two probabilities: a strongly regularised logistic regression on logarithms, which sees the
smooth part and lasts, and a small gradient boosting of shallow trees, which sees thresholds. On snapshots before the
test (Online Retail, and shops simulated after the BG/NBD story) the mean was never far from the better of the two,
which was sometimes the one and sometimes the other; larger trees and weaker regularisation did worse.

The probabilities are calibrated on the training rows: both parts minimise log loss. They speak of the season they
were trained in. Shops whose customers come back before Christmas churn less in autumn than the spring before foretold;
the evaluation's calibration table shows that, and nothing here hides it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM

MODEL_FEATURES = tuple(
    feature.name for view in (CUSTOMER_RFM, CUSTOMER_ACTIVITY) for feature in view.features if feature.type != "text"
)
RECENCY_ONLY = ("recency_days",)
RFM_SCORE = ("recency_score", "frequency_score", "monetary_score")

BASELINES = ("recency_only", "rfm_score")


def churn_model(*, seed: int) -> Pipeline:
    """An untrained model from `MODEL_FEATURES`, null where unknown, to the probability of churn."""
    known = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    smooth = make_pipeline(
        known, FunctionTransformer(signed_log1p), StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)
    )
    thresholds = HistGradientBoostingClassifier(
        learning_rate=0.03, max_iter=120, max_leaf_nodes=8, min_samples_leaf=100, l2_regularization=10.0,
        early_stopping=False, random_state=seed,
    )  # fmt: skip
    return make_pipeline(
        _columns(MODEL_FEATURES),
        VotingClassifier([("smooth", smooth), ("thresholds", thresholds)], voting="soft"),
    )


def baseline(name: str) -> Pipeline:
    """An untrained baseline: a logistic curve over one number, so that its probabilities can be judged too.

    :param name: `recency_only` (days since the last purchase) or `rfm_score` (sum of the three scores).
    """
    logistic = LogisticRegression(C=1e6, max_iter=2000)
    if name == "recency_only":
        return make_pipeline(_columns(RECENCY_ONLY), StandardScaler(), logistic)
    if name == "rfm_score":
        return make_pipeline(_columns(RFM_SCORE), FunctionTransformer(row_sum), StandardScaler(), logistic)
    raise ValueError(f"There is no baseline {name!r}. There are: {', '.join(BASELINES)}.")


def inputs(rows: pd.DataFrame) -> pd.DataFrame:
    """What scorers read, as 64-bit floats; unknown is NaN."""
    return rows[list(MODEL_FEATURES)].astype("float64")


def signed_log1p(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Logarithm that keeps the sign: a customer may have been given back more than they paid."""
    return np.sign(values) * np.log1p(np.abs(values))


def row_sum(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(values).sum(axis=1, keepdims=True)


def _columns(names: Sequence[str]) -> ColumnTransformer:
    return ColumnTransformer([("features", "passthrough", list(names))])
