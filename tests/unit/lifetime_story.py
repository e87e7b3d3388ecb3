"""The stories behind the lifetime models, told customer by customer; nothing is shared with the formulas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from include.models.lifetime.bg_nbd import BgNbd

Floats = npt.NDArray[np.float64]


def simulate_purchases(
    model: BgNbd, ages: Floats, *, horizon: float, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """(x, t_x, purchases in the horizon after the age) of one customer per age, bought by the assumptions of BG/NBD."""
    x, t_x, later = np.zeros_like(ages), np.zeros_like(ages), np.zeros_like(ages)
    rates = rng.gamma(model.r, 1 / model.alpha, len(ages))
    leaving = rng.beta(model.a, model.b, len(ages))
    for row, age in enumerate(ages):
        at = 0.0
        while (at := at + rng.exponential(1 / max(rates[row], 1e-300))) < age + horizon:
            if at <= age:
                x[row], t_x[row] = x[row] + 1, at
            else:
                later[row] += 1
            if rng.random() < leaving[row]:
                break
    return x, t_x, later
