"""Fits BG/NBD and Gamma-Gamma to simulated customers; for `bench.lifetime_fit`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.peak import tell
from include.models.lifetime.bg_nbd_fit import fit_bg_nbd
from include.models.lifetime.gamma_gamma import fit_gamma_gamma

Floats = npt.NDArray[np.float64]


def histories(customers: int, *, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """(x, t_x, T, m) in whole days of customers after the story of both models."""
    rng = np.random.default_rng(seed)
    age = rng.integers(1, 730, customers).astype(np.float64)
    rate, leaving = rng.gamma(0.8, 1 / 60, customers), rng.beta(0.9, 3.0, customers)
    scale = 1 / rng.gamma(3.74, 1 / 15.44, customers)
    x, t_x, total = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    alive, at = np.arange(customers), np.zeros(customers)
    while len(alive):
        at[alive] = np.floor(at[alive] + rng.exponential(1, len(alive)) / np.maximum(rate[alive], 1e-9)) + 1
        alive = alive[at[alive] <= age[alive]]
        x[alive] += 1
        t_x[alive] = at[alive]
        total[alive] += rng.gamma(6.25, scale[alive])
        alive = alive[rng.random(len(alive)) >= leaving[alive]]
    return x, t_x, age, total / np.maximum(x, 1)


def fit(customers: int) -> dict[str, Any]:
    x, t_x, age, m = histories(customers, seed=39)
    started = time.perf_counter()
    purchases, amounts = fit_bg_nbd(x, t_x, age), fit_gamma_gamma(x, m)
    return {
        "seconds": time.perf_counter() - started,
        "returned": purchases.returned,
        "bg_nbd": [purchases.model.r, purchases.model.alpha, purchases.model.a, purchases.model.b],
        "gamma_gamma": [amounts.model.p, amounts.model.q, amounts.model.v],
    }


if __name__ == "__main__":
    tell(fit)
