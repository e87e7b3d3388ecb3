"""How good probabilities of a yes or no are, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

BINS = 10
SHARES = (0.05, 0.10, 0.20)
"""The most probable shares of all rows that lift and precision look at."""
BOOTSTRAPS = 500
_SMALLEST = 1e-9
_CELLS = 8_000_000

Outcomes = npt.NDArray[np.bool_]
Probabilities = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One tenth of the probability scale: what was foretold there and what came.

    :param number: 1 holds [0, 0.1), 10 holds [0.9, 1].
    """

    number: int
    row_count: int
    mean_probability: float
    observed_rate: float


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of bootstrapped values."""

    low: float
    high: float


class Judged:
    """Probabilities beside what came, ready to be judged under many weightings of the rows.

    Rows of equal probability are one group: where a border falls into it, each of them counts with the same part.
    """

    def __init__(self, outcomes: Outcomes, probabilities: Probabilities) -> None:
        order = np.argsort(-probabilities, kind="stable")
        self._order = order
        self._outcomes = outcomes[order].astype(np.float64)
        self._probabilities = probabilities[order]
        self._starts = np.flatnonzero(np.r_[True, np.diff(self._probabilities) != 0])

    def __len__(self) -> int:
        return len(self._order)

    def metrics(self, weights: Weights | None = None) -> dict[str, npt.NDArray[np.float64]]:
        """Every metric under each weighting.

        :param weights: one row per weighting, one column per row that was judged; by default all ones.
        :returns: AUC, average precision, lift and precision at 5, 10 and 20 %, Brier score, log loss and expected
            calibration error (ten bins of equal width), one value per weighting; NaN where only one outcome has weight.
        """
        own = np.ones((1, len(self))) if weights is None else weights[:, self._order]
        yes = self._grouped(own * self._outcomes)
        every = self._grouped(own)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._ranking(yes, every) | self._distances(own)

    def _grouped(self, values: Weights) -> Weights:
        return np.add.reduceat(values, self._starts, axis=1)

    def _ranking(self, yes: Weights, every: Weights) -> dict[str, npt.NDArray[np.float64]]:
        no = every - yes
        all_yes, all_no, total = yes.sum(axis=1), no.sum(axis=1), every.sum(axis=1)
        hits, taken = np.cumsum(yes, axis=1), np.cumsum(every, axis=1)
        below = all_no[:, None] - (taken - hits)
        found = {
            "auc": (yes * (below + no / 2)).sum(axis=1) / (all_yes * all_no),
            "average_precision": (yes * _ratio(hits, taken)).sum(axis=1) / all_yes,
        }
        for share in SHARES:
            at = np.array(
                [np.interp(share * t, np.r_[0.0, x], np.r_[0.0, y]) for t, x, y in zip(total, taken, hits, strict=True)]
            )
            precision = at / (share * total)
            found[f"lift_at_{round(100 * share)}_percent"] = precision / (all_yes / total)
            found[f"precision_at_{round(100 * share)}_percent"] = precision
        return found

    def _distances(self, own: Weights) -> dict[str, npt.NDArray[np.float64]]:
        total, y, p = own.sum(axis=1), self._outcomes, self._probabilities
        likely = np.clip(np.where(y == 1, p, 1 - p), _SMALLEST, 1.0)
        away = np.zeros(len(own))
        for number in np.unique(self._bins):
            away += np.abs((own * np.where(self._bins == number, p - y, 0.0)).sum(axis=1))
        return {
            "brier": (own * (p - y) ** 2).sum(axis=1) / total,
            "log_loss": -(own * np.log(likely)).sum(axis=1) / total,
            "expected_calibration_error": away / total,
        }

    @cached_property
    def _bins(self) -> npt.NDArray[np.int64]:
        return bins_of(self._probabilities)


def judge(outcomes: Outcomes, probabilities: Probabilities) -> dict[str, float]:
    """Every metric of `Judged.metrics`, each row counting once."""
    return {name: float(value[0]) for name, value in Judged(outcomes, probabilities).metrics().items()}


def bootstrap(
    outcomes: Outcomes,
    scored: Mapping[str, Probabilities],
    customers: npt.NDArray[np.int64],
    *,
    seed: int,
    draws: int = BOOTSTRAPS,
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    """Intervals by drawing customers with replacement, all scorers on the same draws.

    A customer is drawn with all of their rows, since those resemble each other.

    :returns: per scorer and metric its interval; and per other scorer and metric that of the first one's minus its own.
    """
    judged = {name: Judged(outcomes, probabilities) for name, probabilities in scored.items()}
    values: dict[str, dict[str, list[npt.NDArray[np.float64]]]] = {name: {} for name in scored}
    for weights in _draws(customers, draws=draws, seed=seed):
        for name, each in judged.items():
            for metric, found in each.metrics(weights).items():
                values[name].setdefault(metric, []).append(found)
    drawn = {name: {metric: np.concatenate(parts) for metric, parts in of.items()} for name, of in values.items()}
    first, *others = drawn
    own = {name: {metric: interval_of(each) for metric, each in of.items()} for name, of in drawn.items()}
    differences = {
        name: {metric: interval_of(drawn[first][metric] - each) for metric, each in drawn[name].items()}
        for name in others
    }
    return own, differences


def interval_of(values: npt.NDArray[np.float64]) -> Interval:
    """From the 2.5th to the 97.5th percentile of what is a number."""
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return Interval(float(low), float(high))


def _draws(customers: npt.NDArray[np.int64], *, draws: int, seed: int) -> Iterator[Weights]:
    """How often each row is drawn, some draws at a time."""
    random = np.random.default_rng(seed)
    names, places = np.unique(customers, return_inverse=True)
    at_once = max(1, _CELLS // max(1, len(customers)))
    for start in range(0, draws, at_once):
        count = min(at_once, draws - start)
        drawn = np.stack(
            [np.bincount(random.integers(0, len(names), len(names)), minlength=len(names)) for _ in range(count)]
        )
        yield drawn[:, places].astype(np.float64)


def lift(outcomes: Outcomes, probabilities: Probabilities, *, share: float) -> float:
    """How many times more yes there is among the most probable `share` of rows than among all.

    Where the border falls into rows of equal probability, each of them counts with the same part.
    """
    gained = gains(outcomes, probabilities, shares=np.array([share]))
    return float(gained[0] / share)


def gains(
    outcomes: Outcomes, probabilities: Probabilities, *, shares: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Which share of all yes is among the most probable `shares` of rows: the gain curve."""
    order = np.argsort(-probabilities, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(probabilities[order]) != 0])
    hits = np.cumsum(np.add.reduceat(outcomes[order].astype(np.float64), starts))
    taken = np.r_[starts[1:], len(order)]
    return np.interp(shares * len(order), np.r_[0.0, taken], np.r_[0.0, hits]) / outcomes.sum()


def auc(outcomes: Outcomes, scores: npt.NDArray[np.float64]) -> float:
    """The chance that a yes has a greater score than a no; an equal one counts half. NaN with one outcome only."""
    values, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    yes = np.bincount(places, weights=outcomes, minlength=len(values))
    no = counts - yes
    with np.errstate(invalid="ignore"):
        return float((yes * (np.cumsum(no) - no / 2)).sum() / (yes.sum() * no.sum()))


def bins_of(probabilities: Probabilities) -> npt.NDArray[np.int64]:
    """Which tenth of the probability scale each is in, 1 to 10."""
    return np.minimum((probabilities * BINS).astype(np.int64), BINS - 1) + 1


def calibration(outcomes: Outcomes, probabilities: Probabilities) -> list[CalibrationBin]:
    """Ten equal parts of the probability scale, those without rows left out."""
    numbers = bins_of(probabilities)
    return [
        CalibrationBin(
            number=int(number),
            row_count=int((numbers == number).sum()),
            mean_probability=float(probabilities[numbers == number].mean()),
            observed_rate=float(outcomes[numbers == number].mean()),
        )
        for number in np.unique(numbers)
    ]


def _ratio(part: Weights, whole: Weights) -> Weights:
    """`part / whole`, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
