"""From what a model says to probabilities of the season it is asked in, learnt between training and test.

The rolling-origin backtest leaves, for some snapshots before the test, what models that were trained on what was known
by then said about them, and what came. That is the position in which the final model stands at the test. On those rows
a line through the log-odds is fitted, together with what the season at each of them was expected to do (`season`):

    -log p = e * log(1 + exp(-(slope * z + intercept)))

with z the log-odds of the model and e how much busier the label window was expected to be than the windows trained on.

The slope is learnt from customers, of whom there are many. The intercept, the error in level, is one observation per
label window however many customers there are, and is shrunk towards zero like one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from include.models.churn.model import Calibration
from include.models.churn.season import Season, days_of_the_year

_LEVEL_BY_CHANCE, _LEVEL_OF_ITS_OWN = 0.15, 0.10
"""How far a window's level is from what was expected by chance, and how far a model's is in all windows (log-odds)."""


@dataclass(frozen=True)
class OriginRows:
    """What was said at one snapshot before the test, and what came.

    :param day: the snapshot as days since 1970-01-01.
    :param exposure: how much busier its label window was expected to be than the windows trained on.
    """

    day: int
    log_odds: npt.NDArray[np.float64]
    outcomes: npt.NDArray[np.bool_]
    exposure: float


def fit_line(origins: Sequence[OriginRows], *, horizon_days: int) -> tuple[float, float]:
    """Slope and intercept by maximum likelihood, each snapshot with the same weight; 1 and 0 without any rows."""
    if not origins:
        return 1.0, 0.0
    z = np.concatenate([each.log_odds for each in origins])
    outcomes = np.concatenate([each.outcomes for each in origins])
    exposure = np.concatenate([np.full(len(each.log_odds), each.exposure) for each in origins])
    weight = np.concatenate([np.full(len(each.log_odds), 1 / len(each.log_odds)) for each in origins])
    middle = float(np.average(z, weights=weight))

    def loss(line: npt.NDArray[np.float64]) -> float:
        waited = exposure * np.logaddexp(0.0, -(line[0] * (z - middle) + middle + line[1]))
        waited = np.clip(waited, 1e-12, None)
        fits = np.where(outcomes, waited, -np.log(-np.expm1(-waited)))
        return float((weight * fits).sum()) + 0.01 * (line[0] - 1) ** 2

    slope, level = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9}).x
    days = [each.day for each in origins]
    windows = 1 + (max(days) - min(days)) / horizon_days
    level = float(level) / (1 + (_LEVEL_BY_CHANCE / _LEVEL_OF_ITS_OWN) ** 2 / windows)
    slope = max(float(slope), 0.1)
    return slope, (1 - slope) * middle + level


def exposure_of_training(season: Season, days: npt.NDArray[np.int64], *, horizon_days: int) -> float:
    """How busy the label windows of training rows were in the mean."""
    found, counts = np.unique(days, return_counts=True)
    exposures = [season.exposure(int(day), days=horizon_days) for day in found]
    return float(np.average(exposures, weights=counts))


def calibration_for(
    line: tuple[float, float], season: Season, training_days: npt.NDArray[np.int64], *, from_day: int, horizon_days: int
) -> Calibration:
    """The calibration of a model trained on rows of those days, for requests in the year from a day on."""
    usual = exposure_of_training(season, training_days, horizon_days=horizon_days)
    exposures = tuple(season.exposure(day, days=horizon_days) / usual for day in days_of_the_year(from_day))
    return Calibration(line[0], line[1], exposures)
