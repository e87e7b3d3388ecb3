"""Means over a beta distribution, by Gauss quadrature with its weight."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh_tridiagonal

Floats = npt.NDArray[np.float64]


@lru_cache(maxsize=4096)
def beta_nodes(first: float, second: float, count: int) -> tuple[Floats, Floats]:
    """Points of (0, 1) and weights whose sum is 1, so that `sum(weight * f(point))` is the mean of `f`.

    Exact for polynomials up to degree `2 * count - 1`. G. Golub, J. Welsch (1969), Calculation of Gauss Quadrature
    Rules, Mathematics of Computation 23(106), on the recurrence of the Jacobi polynomials (NIST DLMF 18.9.2), whose
    constants are ratios here, so that no parameter is too large for them.
    """
    alpha, beta = second - 1, first - 1
    order = np.arange(count, dtype=np.float64)
    twice = 2 * order + alpha + beta
    with np.errstate(invalid="ignore", divide="ignore"):
        diagonal = (beta**2 - alpha**2) / (twice * (twice + 2))
        squares = 4 * order * (order + alpha) * (order + beta) * (order + alpha + beta)
        squares /= twice**2 * (twice + 1) * (twice - 1)
    diagonal[0] = (beta - alpha) / (alpha + beta + 2)
    if count > 1:
        # The general formula divides 0 by 0 here where alpha + beta is -1.
        squares[1] = 4 * (1 + alpha) * (1 + beta) / ((2 + alpha + beta) ** 2 * (3 + alpha + beta))
    points, vectors = eigh_tridiagonal(diagonal, np.sqrt(squares[1:]))
    weights = vectors[0] ** 2
    return (1 + points) / 2, weights / weights.sum()
