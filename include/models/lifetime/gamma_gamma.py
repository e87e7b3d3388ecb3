"""Gamma-Gamma: how much a purchase of each customer is worth on average.

The amounts of a customer's purchases are gamma distributed around a mean of their own, with shape `p`; the scale of
that differs from customer to customer by another gamma distribution (`q`, `v`), and does not depend on how often they
buy.

P. Fader, B. Hardie (2013), The Gamma-Gamma Model of Monetary Value (brucehardie.com/notes/025), named [GG] below, where
`v` is written as a gamma. `x` is the number of observed purchases, `m` their mean amount, in one currency.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from include.models.lifetime.maximum_likelihood import FitRefused, most_likely_from_a_part

Floats = npt.NDArray[np.float64]

FEWEST_CUSTOMERS = 10


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """The three parameters, all positive; `v` in the currency of the amounts."""

    p: float
    q: float
    v: float

    def __post_init__(self) -> None:
        for name in ("p", "q", "v"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"the Gamma-Gamma parameter {name} is {value}; it must be positive and finite")

    def mean_value(self) -> float:
        """The mean over all customers; NaN where the distribution has none (`q` of 1 or less)."""
        return self.p * self.v / (self.q - 1) if self.q > 1 else float("nan")

    def expected_value(self, x: npt.ArrayLike, m: npt.ArrayLike) -> Floats:
        """The mean amount of a customer's purchases to come ([GG] eq. 5): between their own mean and that of all.

        Without an observed amount (`x` of 0, whatever `m`) it is the mean over all customers. NaN where `x` is, and
        where the model has no mean.
        """
        x, m = (np.array(values, dtype=np.float64) for values in np.broadcast_arrays(x, m))
        total = np.where(x == 0, 0.0, x * m)
        below = self.p * x + self.q - 1
        return np.where(below > 0, self.p * (self.v + total) / np.where(below > 0, below, 1.0), below * np.nan)


@dataclass(frozen=True, slots=True)
class GammaGammaFit:
    """A fitted model.

    :param covariance: 3 by 3, of the natural logarithms of p, q and v; what is in `at_bound` counts as known.
    :param customers: those with at least one repeat purchase of a positive amount.
    :param left_out: customers who came back for nothing but free orders, which the model cannot hold.
    :param correlation: between number and mean amount of the repeat purchases, which the model takes to be 0.
    """

    model: GammaGamma
    log_likelihood: float
    covariance: Floats
    customers: float
    left_out: float
    correlation: float
    at_bound: tuple[str, ...]


def fit_gamma_gamma(
    frequency: npt.ArrayLike, average_value: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> GammaGammaFit:
    """Fit by maximum likelihood on the customers who came back.

    :param frequency: repeat purchases (`repeat_purchase_days`).
    :param average_value: their mean amount (`average_repeat_day_amount`); not read without a repeat purchase.
    :raises FitRefused: too few customers, an amount below 0, equal amounts only, or no most likely parameters.
    """
    x, m = (np.asarray(values, dtype=np.float64) for values in (frequency, average_value))
    weight = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if not x.shape == m.shape == weight.shape or x.ndim != 1:
        raise FitRefused(f"frequency, average_value and weights have shapes {x.shape}, {m.shape}, {weight.shape}")
    came_back = (x > 0) & (weight > 0)
    x, m, weight = x[came_back], m[came_back], weight[came_back]
    if not np.isfinite(m).all() or (m < 0).any():
        wrong = int((~(np.isfinite(m) & (m >= 0))).sum())
        raise FitRefused(f"{wrong} of {len(m)} customers who came back have a mean amount below 0, or none")
    left_out = float(weight[m == 0].sum())
    x, m, weight = x[m > 0], m[m > 0], weight[m > 0]
    if weight.sum() < FEWEST_CUSTOMERS or m.min() == m.max():
        raise FitRefused(
            f"{weight.sum():.0f} customers came back and paid, {len(np.unique(m))} different mean amounts among them: "
            f"at least {FEWEST_CUSTOMERS} customers and two amounts are needed. Load more history."
        )
    mean = float(np.average(m, weights=weight))
    found = most_likely_from_a_part([x, m, weight], log_likelihood_of, start=(2.0, 3.0, mean))
    return GammaGammaFit(
        model=GammaGamma(*found.parameters),
        log_likelihood=found.log_likelihood,
        covariance=found.covariance,
        customers=float(weight.sum()),
        left_out=left_out,
        correlation=_correlation(x, m, weight),
        at_bound=tuple(name for name, stopped in zip("pqv", found.at_bound, strict=True) if stopped),
    )


def log_likelihood_of(x: Floats, m: Floats, weight: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """The sum of the logarithm of [GG] eq. 1a over the customers as a function of (p, q, v), with its gradient.

    What depends on `x` alone is computed once for each `x`.
    """
    counts, position = np.unique(x, return_inverse=True)
    of_count = np.bincount(position, weights=weight)
    total, log_m, log_total = m * x, np.log(m), np.log(m * x)
    customers = weight.sum()

    def value_and_gradient(parameters: Floats) -> tuple[float, Floats]:
        p, q, v = parameters
        shares = special.gammaln(p * counts + q) - special.gammaln(p * counts) - special.gammaln(q)
        log_all = np.log(v + total)
        value = of_count @ shares + customers * q * np.log(v) - weight @ log_m
        value += p * (weight @ (x * (log_total - log_all))) - q * (weight @ log_all)
        by_p = of_count @ (counts * (special.psi(p * counts + q) - special.psi(p * counts)))
        by_p += weight @ (x * (log_total - log_all))
        by_q = of_count @ (special.psi(p * counts + q) - special.psi(q)) + customers * np.log(v) - weight @ log_all
        by_v = customers * q / v - weight @ ((p * x + q) / (v + total))
        return float(value), np.array([by_p, by_q, by_v])

    return value_and_gradient


def _correlation(x: Floats, m: Floats, weight: Floats) -> float:
    covariance = np.cov(x, m, aweights=weight)
    spread = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1]) / spread if spread > 0 else float("nan")
