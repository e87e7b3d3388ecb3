"""How good probabilities of a yes or no are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

BINS = 10

Outcomes = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One tenth of the probability scale: what was foretold there and what came.

    :param number: 1 holds [0, 0.1), 10 holds [0.9, 1].
    """

    number: int
    row_count: int
    mean_probability: float
    observed_rate: float


def judge(outcomes: Outcomes, probabilities: Probabilities) -> dict[str, float]:
    """AUC, average precision, lift at 10 %, Brier score and expected calibration error (0 to 1)."""
    return {
        "auc": float(roc_auc_score(outcomes, probabilities)),
        "average_precision": float(average_precision_score(outcomes, probabilities)),
        "lift_at_10_percent": lift(outcomes, probabilities, share=0.1),
        "brier": float(brier_score_loss(outcomes, probabilities)),
        "expected_calibration_error": expected_calibration_error(calibration(outcomes, probabilities)),
    }


def lift(outcomes: Outcomes, probabilities: Probabilities, *, share: float) -> float:
    """How many times more yes there is among the most probable `share` of rows than among all.

    Where the border falls into rows of equal probability, each of them counts with the same part.
    """
    wanted = share * len(outcomes)
    border = np.sort(probabilities)[::-1][int(np.ceil(wanted)) - 1]
    above, tied = probabilities > border, probabilities == border
    part = (wanted - above.sum()) / tied.sum()
    hits = outcomes[above].sum() + part * outcomes[tied].sum()
    return float(hits / wanted / outcomes.mean())


def calibration(outcomes: Outcomes, probabilities: Probabilities) -> list[CalibrationBin]:
    """Ten equal parts of the probability scale, those without rows left out."""
    numbers = np.minimum((probabilities * BINS).astype(int), BINS - 1) + 1
    return [
        CalibrationBin(
            number=int(number),
            row_count=int((numbers == number).sum()),
            mean_probability=float(probabilities[numbers == number].mean()),
            observed_rate=float(outcomes[numbers == number].mean()),
        )
        for number in np.unique(numbers)
    ]


def expected_calibration_error(bins: list[CalibrationBin]) -> float:
    """Mean distance between foretold and observed rate, each bin by its rows."""
    total = sum(bin_.row_count for bin_ in bins)
    return sum(bin_.row_count * abs(bin_.mean_probability - bin_.observed_rate) for bin_ in bins) / total
