"""What customers did, as the models read it: checked, and equal histories counted once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from include.models.lifetime.maximum_likelihood import FitRefused

Floats = npt.NDArray[np.float64]

FEWEST_CUSTOMERS = 50
FEWEST_RETURNED = 10


@dataclass(frozen=True, slots=True)
class Histories:
    """One row per distinct history.

    :param x: repeat purchases, ascending.
    :param t_x: from the first purchase to the last one.
    :param T: from the first purchase to the end of the observation.
    :param weight: how many customers have that history.
    """

    x: Floats
    t_x: Floats
    T: Floats
    weight: Floats

    @property
    def customers(self) -> float:
        return float(self.weight.sum())


def group(
    frequency: npt.ArrayLike, recency: npt.ArrayLike, age: npt.ArrayLike, weights: npt.ArrayLike | None
) -> Histories:
    """Check histories and count equal ones once.

    :raises FitRefused: a history cannot be, or there are too few customers, or too few of them came back.
    """
    x, t_x, T = (np.asarray(values, dtype=np.float64) for values in (frequency, recency, age))
    weight = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if not x.shape == t_x.shape == T.shape == weight.shape or x.ndim != 1:
        raise FitRefused(
            f"frequency, recency, age and weights have shapes {x.shape}, {t_x.shape}, {T.shape}, {weight.shape}"
        )
    _refuse(~np.isfinite(x + t_x + T + weight), "lack a number")
    _refuse((x < 0) | (x != np.floor(x)), "have a frequency that is not a count")
    _refuse((t_x < 0) | (t_x > T), "have a last purchase outside of their observation (0 <= t_x <= T)")
    _refuse((x == 0) != (t_x == 0), "have a recency without a repeat purchase, or the other way round")
    _refuse(weight < 0, "have a weight below 0")
    _enough(weight.sum(), weight[x > 0].sum())
    order = np.lexsort((t_x, T, x))
    x, t_x, T, weight = x[order], t_x[order], T[order], weight[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(x) != 0) | (np.diff(T) != 0) | (np.diff(t_x) != 0)])
    return Histories(x=x[starts], t_x=t_x[starts], T=T[starts], weight=np.add.reduceat(weight, starts))


def _enough(customers: float, returned: float) -> None:
    if customers < FEWEST_CUSTOMERS or returned < FEWEST_RETURNED:
        raise FitRefused(
            f"{customers:.0f} customers, {returned:.0f} of whom came back, are too few: at least {FEWEST_CUSTOMERS} "
            f"customers are needed, {FEWEST_RETURNED} with a repeat purchase. Load more history."
        )


def _refuse(wrong: npt.NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        first = np.flatnonzero(wrong)[:5].tolist()
        raise FitRefused(f"{int(wrong.sum())} of {len(wrong)} histories {what}; the first at rows {first}")
