"""The most likely BG/NBD parameters of a shop's customers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from include.models.lifetime.bg_nbd import BgNbd, left_log_odds
from include.models.lifetime.histories import Histories, group
from include.models.lifetime.maximum_likelihood import HIGHEST, most_likely_from_a_part

Floats = npt.NDArray[np.float64]
_ALIKE = 1e5
"""With a or b this great all customers leave with one chance; greater ones change nothing but the rounding."""


@dataclass(frozen=True, slots=True)
class BgNbdFit:
    """A fitted model.

    :param covariance: 4 by 4, of the natural logarithms of r, alpha, a and b; what is in `at_bound` counts as known.
    :param at_bound: parameters that the data do not tell from nothing or from without end.
    """

    model: BgNbd
    log_likelihood: float
    covariance: Floats
    customers: float
    returned: float
    at_bound: tuple[str, ...]


def fit_bg_nbd(
    frequency: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> BgNbdFit:
    """Fit by maximum likelihood.

    :param frequency: repeat purchases of each customer (`repeat_purchase_days`).
    :param recency: from the first to the last purchase, in days; 0 without a repeat purchase.
    :param age: from the first purchase to the end of the observation, in the unit of `recency`.
    :param weights: how many customers have each history; 1 unless given.
    :raises FitRefused: the data are too few, contradict themselves, or have no most likely parameters.
    """
    histories = group(frequency, recency, age, weights)
    repeats, exposure = float(histories.weight @ histories.x), float(histories.weight @ histories.T)
    found = most_likely_from_a_part(
        [histories.x, histories.t_x, histories.T, histories.weight],
        lambda *columns: log_likelihood_of(Histories(*columns)),
        start=(0.5, 0.5 * exposure / repeats, 0.5, 2.0),
        highest=(HIGHEST, HIGHEST, _ALIKE, _ALIKE),
    )
    names = ("r", "alpha", "a", "b")
    return BgNbdFit(
        model=BgNbd(*found.parameters),
        log_likelihood=found.log_likelihood,
        covariance=found.covariance,
        customers=histories.customers,
        returned=float(histories.weight[histories.x > 0].sum()),
        at_bound=tuple(name for name, stopped in zip(names, found.at_bound, strict=True) if stopped),
    )


def log_likelihood_of(histories: Histories) -> Callable[[Floats], tuple[float, Floats]]:
    """The sum of [FHL] eq. 6 over the customers as a function of (r, alpha, a, b), with its gradient.

    With `o` the odds of having left, both terms of eq. 6 are
    `gamma(r + x) alpha^r / gamma(r) (alpha + T)^-(r + x) * B(a, b + x) / B(a, b) * (1 + o)`.
    What depends on `x` alone is computed once for each `x`.
    """
    x, t_x, T, weight = histories.x, histories.t_x, histories.T, histories.weight
    counts, starts = np.unique(x, return_index=True)
    of_count = np.add.reduceat(weight, starts)
    came_back = np.searchsorted(x, 1.0)
    x_back, t_back, T_back, weight_back = (values[came_back:] for values in (x, t_x, T, weight))

    def value_and_gradient(parameters: Floats) -> tuple[float, Floats]:
        model = BgNbd(*parameters.tolist())
        r, alpha, a, b = parameters
        odds = left_log_odds(model, x_back, t_back, T_back)
        left = special.expit(odds)
        value = of_count @ (
            special.gammaln(r + counts) - special.gammaln(r) + r * np.log(alpha)
            + special.betaln(a, b + counts) - special.betaln(a, b)
        )  # fmt: skip
        value += weight_back @ np.logaddexp(0.0, odds) - weight @ ((r + x) * np.log(alpha + T))

        waited = special.log1p((T_back - t_back) / (alpha + t_back))
        waited_by_alpha = 1 / (alpha + T_back) - 1 / (alpha + t_back)
        left_weight = weight_back * left
        by_r = of_count @ (special.psi(r + counts) - special.psi(r) + np.log(alpha))
        by_r += left_weight @ waited - weight @ np.log(alpha + T)
        by_alpha = weight.sum() * r / alpha - weight @ ((r + x) / (alpha + T))
        by_alpha += left_weight @ ((r + x_back) * waited_by_alpha)
        both = special.psi(a + b) - special.psi(a + b + counts)
        by_a = of_count @ both + left_weight.sum() / a
        by_b = of_count @ (both + special.psi(b + counts) - special.psi(b)) - left_weight @ (1 / (b + x_back - 1))
        return float(value), np.array([by_r, by_alpha, by_a, by_b])

    return value_and_gradient
