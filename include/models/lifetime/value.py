"""What a customer is worth: purchases to come, discounted to today, times what a purchase is worth.

BG/NBD says how many purchases come and when, Gamma-Gamma for how much; by their assumption the two do not depend on
each other, so the value is the product: P. Fader, B. Hardie, K. Lee (2005), RFM and CLV: Using Iso-Value Curves for
Customer Base Analysis, Journal of Marketing Research 42(4). It is revenue before costs and refunds, in the currency of
the shop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from include.models.lifetime.bg_nbd import BgNbd, left_log_odds
from include.models.lifetime.gamma_gamma import GammaGamma

Floats = npt.NDArray[np.float64]

_STEP = 1e-4
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True)
class LifetimeModel:
    """Both models, what they were fitted to say, and how sure they are.

    :param bg_nbd_covariance: of the logarithms of r, alpha, a and b.
    :param gamma_gamma_covariance: of the logarithms of p, q and v.
    :param horizon_days: how far ahead purchases count.
    :param annual_discount_rate: what money is worth less a year later: 0.1 is 10 %; days of 365 to the year.
    """

    bg_nbd: BgNbd
    gamma_gamma: GammaGamma
    bg_nbd_covariance: Floats
    gamma_gamma_covariance: Floats
    horizon_days: float
    annual_discount_rate: float

    def __post_init__(self) -> None:
        if not self.horizon_days > 0 or not self.annual_discount_rate >= 0:
            raise ValueError(
                f"the horizon is {self.horizon_days} days and the discount rate {self.annual_discount_rate}: "
                "the first must be above 0, the second not below it"
            )


@dataclass(frozen=True, slots=True)
class LifetimeValues:
    """One entry per customer; NaN where the history is not known.

    :param expected_purchases: within the horizon, not discounted.
    :param value: discounted, within the horizon.
    :param low: with `high` the interval that holds the value with the confidence asked for, as far as the parameters
        are uncertain. It says nothing of chance: what a single customer will spend varies far more.
    """

    probability_alive: Floats
    expected_purchases: Floats
    purchase_value: Floats
    value: Floats
    low: Floats
    high: Floats


def lifetime_values(
    model: LifetimeModel,
    x: npt.ArrayLike,
    t_x: npt.ArrayLike,
    T: npt.ArrayLike,
    m: npt.ArrayLike,
    *,
    confidence: float = 0.95,
) -> LifetimeValues:
    """Values of customers with these histories.

    :param m: mean amount of the repeat purchases; not read where `x` is 0.
    """
    x, t_x, T, m = (np.array(values, dtype=np.float64) for values in np.broadcast_arrays(x, t_x, T, m))
    pairs = _Pairs.of(x, T)
    alive = model.bg_nbd.probability_alive(x, t_x, T)
    worth = model.gamma_gamma.expected_value(x, m)
    value = alive * pairs.discounted(model.bg_nbd, model) * worth
    spread = special.ndtri((1 + confidence) / 2) * np.sqrt(_variance_of_logarithm(model, pairs, x, t_x, T, m))
    return LifetimeValues(
        probability_alive=alive,
        expected_purchases=alive * pairs.expected(model.bg_nbd, model.horizon_days),
        purchase_value=worth,
        value=value,
        low=value * np.exp(-spread),
        high=value * np.exp(spread),
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The distinct pairs of frequency and age, which are all that the purchases of a living customer depend on."""

    x: Floats
    T: Floats
    position: npt.NDArray[np.intp]

    @classmethod
    def of(cls, x: Floats, T: Floats) -> _Pairs:
        order = np.lexsort((T, x))
        is_new = np.r_[True, (np.diff(x[order]) != 0) | (np.diff(T[order]) != 0)][: len(x)]
        position = np.empty(len(x), dtype=np.intp)
        position[order] = np.cumsum(is_new) - 1
        return cls(x[order][is_new], T[order][is_new], position)

    def expected(self, model: BgNbd, horizon_days: float) -> Floats:
        return model.expected_purchases_if_alive(horizon_days, self.x, self.T)[self.position]

    def discounted(self, model: BgNbd, asked: LifetimeModel) -> Floats:
        return discounted_purchases_if_alive(model, asked.horizon_days, asked.annual_discount_rate, self.x, self.T)[
            self.position
        ]


def discounted_purchases_if_alive(
    model: BgNbd, horizon_days: float, annual_discount_rate: float, x: Floats, T: Floats
) -> Floats:
    """Purchases within the horizon, each worth `(1 + rate)^(-days / 365)`, of a customer known to be alive.

    With E(u) the purchases to expect within u days this is the integral of the discount over dE, by parts
    `discount(H) E(H) + rate * integral of discount(u) E(u) du`. Its points are dense near 0, where E bends most.
    """
    rate = np.log1p(annual_discount_rate) / 365
    total = np.exp(-rate * horizon_days) * model.expected_purchases_if_alive(horizon_days, x, T)
    if rate == 0:
        return total
    for point, weight in zip((1 + _POINTS) / 2, _WEIGHTS / 2, strict=True):
        day = horizon_days * point**2
        share = rate * np.exp(-rate * day) * 2 * point * horizon_days * weight
        total = total + share * model.expected_purchases_if_alive(day, x, T)
    return total


def _variance_of_logarithm(model: LifetimeModel, pairs: _Pairs, x: Floats, t_x: Floats, T: Floats, m: Floats) -> Floats:
    """By the delta method: how the logarithm of the value moves with those of the parameters, and how unsure they are.

    The two models were fitted apart, so their parameters do not vary together.
    """

    def of_purchases(parameters: Floats) -> Floats:
        varied = BgNbd(*np.exp(parameters).tolist())
        log_alive = special.log_expit(-left_log_odds(varied, x, t_x, T))
        return log_alive + np.log(pairs.discounted(varied, model))

    def of_worth(parameters: Floats) -> Floats:
        return np.log(GammaGamma(*np.exp(parameters).tolist()).expected_value(x, m))

    bg_nbd, gamma_gamma = model.bg_nbd, model.gamma_gamma
    at = np.log([bg_nbd.r, bg_nbd.alpha, bg_nbd.a, bg_nbd.b])
    variance = _quadratic(_slopes(of_purchases, at), model.bg_nbd_covariance)
    at = np.log([gamma_gamma.p, gamma_gamma.q, gamma_gamma.v])
    return variance + _quadratic(_slopes(of_worth, at), model.gamma_gamma_covariance)


def _slopes(function: Callable[[Floats], Floats], at: Floats) -> list[Floats]:
    """Derivatives by each parameter, by central differences."""
    slopes = []
    for position in range(len(at)):
        step = np.zeros_like(at)
        step[position] = _STEP
        slopes.append((function(at + step) - function(at - step)) / (2 * _STEP))
    return slopes


def _quadratic(slopes: list[Floats], covariance: Floats) -> Floats:
    """`slopes' covariance slopes` of each row, added up in one order whatever the number of rows."""
    total = np.zeros_like(slopes[0])
    for row, first in enumerate(slopes):
        for column, second in enumerate(slopes):
            total = total + covariance[row, column] * first * second
    return np.where(total < 0, 0.0, total)
