"""The best possible rankings of the simulator's customers by whether they will buy: what its latent state says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from include.local.sandbox.instants import DAY
from include.local.sandbox.simulator.simulator import Simulator
from include.models.lifetime.bg_nbd import BgNbd

Scores = npt.NDArray[np.float64]


def best_possible(
    customers_asked: npt.NDArray[np.int64], days: npt.NDArray[np.int64], *, customers: int, seed: int, horizon_days: int
) -> tuple[Scores, Scores]:
    """P(no order in the label window) of each row, by one who knows everything but chance, and by one who knows less.

    The first knows each customer's rate, and whether they have dropped out: who has will not buy, and of the others the
    wait until the next order is exponential in operational time. Nobody can rank better but by knowing the future.

    The second knows the parameters that rates and drop-outs are drawn with, the season, and each customer's orders:
    BG/NBD in operational time is the exact posterior. Nobody who sees only orders can rank better than that; who also
    sees what customers do on the site between orders may.

    :param days: the snapshots as days since 1970-01-01.
    """
    simulator = Simulator(customers=customers, seed=seed)
    truths = {truth.customer_id: truth for truth in simulator.truth}
    season = simulator.season
    model = simulator.model
    posterior = BgNbd(r=model.r, alpha=model.alpha_days, a=model.a, b=model.b)
    knows_all, knows_orders = [], []
    for customer, day in zip(customers_asked.tolist(), days.tolist(), strict=True):
        truth, at = truths[customer], day * DAY
        now, then = season.operational_days(np.array([at, at + horizon_days * DAY], dtype=float))
        is_gone = truth.dropped_out_at is not None and truth.dropped_out_at < at
        knows_all.append(1.0 if is_gone else float(np.exp(-truth.rate_per_day * (then - now))))
        before = season.operational_days(np.array([each for each in truth.purchases if each < at], dtype=float))
        bought = posterior.probability_of_purchase(
            float(then - now), len(before) - 1, before[-1] - before[0], now - before[0]
        )
        knows_orders.append(1.0 - float(bought))
    return np.array(knows_all), np.array(knows_orders)
