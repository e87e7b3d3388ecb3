"""The most likely positive parameters of a model, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]
LogLikelihood = Callable[[Floats], tuple[float, Floats]]
"""Parameters to the log-likelihood of all customers and its gradient by the parameters."""

# A parameter below or above these says that the data do not tell it from nothing, or from without end.
LOWEST, HIGHEST = 1e-6, 1e7
# Of the mean log-likelihood of one customer, per unit of a parameter's logarithm.
_FLAT_ENOUGH = 1e-5
_STEP = 1e-4
_PART = 20_000
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
    log_likelihood: LogLikelihood, *, start: tuple[float, ...], weight: float, highest: tuple[float, ...] | None = None
) -> Optimum:
    """Climb from `start` to the top of `log_likelihood`, over the logarithms of the parameters.

    :param weight: number of customers.
    :param highest: the greatest value of each parameter that is looked at; by default `HIGHEST` for all.
    :raises FitRefused: no top was found.
    """

    def mean_loss(logarithms: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logarithms)
        value, gradient = log_likelihood(parameters)
        return -value / weight, -gradient * parameters / weight

    lows = np.full(len(start), np.log(LOWEST))
    highs = np.log(highest or (HIGHEST,) * len(start))
    found = minimize(
        mean_loss,
        np.clip(np.log(start), lows, highs),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(lows, highs, strict=True)),
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-7},
    )
    at_bound = (found.x <= lows) | (found.x >= highs)
    top, information = _polish(mean_loss, found.x, free=~at_bound, lows=lows, highs=highs)
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


def most_likely_from_a_part(
    columns: list[Floats],
    likelihood_of: Callable[..., LogLikelihood],
    *,
    start: tuple[float, ...],
    highest: tuple[float, ...] | None = None,
) -> Optimum:
    """Climb to the top for all rows; with many of them from that of an even part, which is close and soon found.

    :param columns: one entry per row; the last column is how many customers each row stands for.
    :param likelihood_of: from the columns to the log-likelihood of their customers.
    :param highest: as of `most_likely`.
    :raises FitRefused: no top was found.
    """
    step = len(columns[0]) // _PART
    if step > 1:
        part = [column[::step] for column in columns]
        with suppress(FitRefused):
            start = most_likely(
                likelihood_of(*part), start=start, weight=float(part[-1].sum()), highest=highest
            ).parameters
    return most_likely(likelihood_of(*columns), start=start, weight=float(columns[-1].sum()), highest=highest)


def _polish(
    loss: LogLikelihood, top: Floats, *, free: npt.NDArray[np.bool_], lows: Floats, highs: Floats
) -> tuple[Floats, Floats]:
    """Newton's last steps on the free parameters, as long as the slope becomes flatter; and the information there.

    The steps are so small that one information serves all of them.
    """
    information, slope = _information(loss, top), loss(top)[1]
    kept = information[np.ix_(free, free)]
    if not free.any() or np.linalg.eigvalsh(kept).min() <= _FLAT:
        return top, information
    for _ in range(5):
        moved = top.copy()
        moved[free] -= np.linalg.solve(kept, slope[free])
        if (moved < lows).any() or (moved > highs).any():
            break
        flatter = loss(moved)[1]
        if np.abs(flatter[free]).max() >= np.abs(slope[free]).max():
            break
        top, slope = moved, flatter
    return top, information


def _information(loss: LogLikelihood, at: Floats) -> Floats:
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
