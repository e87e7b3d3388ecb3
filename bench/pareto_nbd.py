"""Pareto/NBD, the model that BG/NBD stands in for; here to be measured beside it.

While alive, a customer buys at a rate of their own (gamma distributed, `r`, `alpha`); how long they live is
exponential, at a rate of their own (gamma distributed, `s`, `beta`). P. Fader, B. Hardie (2005), A Note on Deriving the
Pareto/NBD Model and Related Expressions, named [FH] below. Times are in one unit; `alpha` and `beta` are in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

Floats = npt.NDArray[np.float64]
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(48)
_POINTS, _WEIGHTS = (_NODES + 1) / 2, _NODE_WEIGHTS / 2
_FALLEN = 40.0
"""Powers of e by which a density has fallen where it no longer adds to its integral."""


@dataclass(frozen=True, slots=True)
class ParetoNbd:
    """The four parameters, all positive."""

    r: float
    alpha: float
    s: float
    beta: float

    def log_likelihood(self, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Per customer, [FH] section 2: alive until `T`, or gone at some instant between `t_x` and `T`."""
        known = special.gammaln(self.r + x) - special.gammaln(self.r)
        known += self.r * np.log(self.alpha) + self.s * np.log(self.beta)
        return known + np.logaddexp(self._log_alive(x, T), self._log_gone(x, t_x, T))

    def probability_alive(self, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """The chance of being alive at `T`: the share of the likelihood in which the customer still lives."""
        return special.expit(self._log_alive(x, T) - self._log_gone(x, t_x, T))

    def expected_purchases(self, horizon: float, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Purchases to expect in the `horizon` after `T` ([FH] section 4.3)."""
        remaining = self.beta + T
        lived = remaining * -np.expm1((1 - self.s) * np.log1p(horizon / remaining)) / (self.s - 1)
        return self.probability_alive(x, t_x, T) * (self.r + x) / (self.alpha + T) * lived

    def _log_alive(self, x: Floats, T: Floats) -> Floats:
        return -(self.r + x) * np.log(self.alpha + T) - self.s * np.log(self.beta + T)

    def _log_gone(self, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """Logarithm of the integral over the instant of leaving, between the last purchase and `T`.

        [FH] write it with the Gauss hypergeometric function, which overflows for customers of many purchases. It is
        taken by Gauss quadrature over the logarithm of `alpha` plus the instant, as far as there is anything to add.
        """
        shape = self.r + x
        low, high = np.log(self.alpha + t_x), np.log(self.alpha + T)
        width = np.minimum(high - low, _FALLEN / shape)
        at = low + width * _POINTS[:, None]
        log_density = (1 - shape) * at - (self.s + 1) * np.log(self.beta - self.alpha + np.exp(at))
        with np.errstate(divide="ignore"):
            return np.log(self.s * width) + special.logsumexp(log_density, b=_WEIGHTS[:, None], axis=0)


def fit_pareto_nbd(x: Floats, t_x: Floats, T: Floats) -> tuple[ParetoNbd, float]:
    """The most likely parameters, and their log-likelihood."""

    def loss(logarithms: Floats) -> float:
        return -float(ParetoNbd(*np.exp(logarithms)).log_likelihood(x, t_x, T).mean())

    exposure = T.sum() / x.sum()
    start = np.log([0.5, 0.5 * exposure, 0.5, float(np.mean(T))])
    bounds = [(-12.0, 14.0)] * len(start)
    found = optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds)
    found = optimize.minimize(loss, found.x, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-11})
    return ParetoNbd(*np.exp(found.x)), -found.fun * len(x)
