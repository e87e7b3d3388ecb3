"""The most likely positive parameters of a model, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]

# A parameter below or above these says that the data do not tell it from nothing, or from without end.
LOWEST, HIGHEST = 1e-6, 1e7
# Of the mean log-likelihood of one customer, per unit of a parameter's logarithm.
_FLAT_ENOUGH = 1e-5
_STEP = 1e-4
# Curvatures below this are those of the rounding.
_FLAT = 1e-7


class FitRefused(ValueError):
    """The data cannot tell the parameters of the model; nothing was fitted."""


@dataclass(frozen=True, slots=True)
class Optimum:
    """The top of a likelihood.

    :param parameters: the most likely values, in the order of the function.
    :param log_likelihood: of all customers together.
    :param covariance: of the natural logarithms of the parameters (inverse of the observed information). A parameter at
        a bound counts as known: its row and column are 0. So does a direction in which the likelihood is flat: what
        the model says of customers like those it saw does not change along it.
    :param at_bound: for each parameter whether it stopped at the smallest or the greatest value allowed.
    """

    parameters: tuple[float, ...]
    log_likelihood: float
    covariance: Floats
    at_bound: tuple[bool, ...]


def most_likely(
    log_likelihood: Callable[[Floats], tuple[float, Floats]], *, start: tuple[float, ...], weight: float
) -> Optimum:
    """Climb from `start` to the top of `log_likelihood`, over the logarithms of the parameters.

    :param log_likelihood: parameters to the log-likelihood of all customers and its gradient by the parameters.
    :param weight: number of customers.
    :raises FitRefused: no top was found.
    """

    def mean_loss(logarithms: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logarithms)
        value, gradient = log_likelihood(parameters)
        return -value / weight, -gradient * parameters / weight

    lowest, highest = np.log(LOWEST), np.log(HIGHEST)
    found = minimize(
        mean_loss,
        np.clip(np.log(start), lowest, highest),
        jac=True,
        method="L-BFGS-B",
        bounds=[(lowest, highest)] * len(start),
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-7},
    )
    at_bound = (found.x <= lowest) | (found.x >= highest)
    top, information = _polish(mean_loss, found.x, free=~at_bound)
    slope = np.abs(mean_loss(top)[1][~at_bound])
    if not np.isfinite(found.fun) or (slope.size and slope.max() > _FLAT_ENOUGH):
        raise FitRefused(
            f"no most likely parameters were found: after {found.nit} steps the slope is {slope.max():.3g} "
            f"at {np.exp(top).tolist()} ({found.message}). Give more customers or a longer history."
        )
    parameters = np.exp(top)
    return Optimum(
        parameters=tuple(parameters.tolist()),
        log_likelihood=log_likelihood(parameters)[0],
        covariance=_covariance(information, ~at_bound) / weight,
        at_bound=tuple(at_bound.tolist()),
    )


def _polish(
    loss: Callable[[Floats], tuple[float, Floats]], top: Floats, *, free: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Newton's last steps on the free parameters, as long as the slope becomes flatter; and the information there."""
    lowest, highest = np.log(LOWEST), np.log(HIGHEST)
    information = _information(loss, top)
    for _ in range(5):
        slope = loss(top)[1]
        kept = information[np.ix_(free, free)]
        if not free.any() or np.linalg.eigvalsh(kept).min() <= 0:
            break
        moved = top.copy()
        moved[free] -= np.linalg.solve(kept, slope[free])
        if (moved < lowest).any() or (moved > highest).any():
            break
        if np.abs(loss(moved)[1][free]).max() >= np.abs(slope[free]).max():
            break
        top, information = moved, _information(loss, moved)
    return top, information


def _information(loss: Callable[[Floats], tuple[float, Floats]], at: Floats) -> Floats:
    """Second derivatives: central differences of the analytic gradient."""
    rows = []
    for position in range(len(at)):
        step = np.zeros_like(at)
        step[position] = _STEP
        rows.append((loss(at + step)[1] - loss(at - step)[1]) / (2 * _STEP))
    matrix = np.array(rows)
    return (matrix + matrix.T) / 2


def _covariance(information: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """The inverse on the free parameters, without the directions in which the likelihood is flat."""
    covariance = np.zeros_like(information)
    if free.any():
        curvature, directions = np.linalg.eigh(information[np.ix_(free, free)])
        known = curvature > _FLAT
        covariance[np.ix_(free, free)] = (directions[:, known] / curvature[known]) @ directions[:, known].T
    return covariance
