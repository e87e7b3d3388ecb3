"""The best possible rankings of the simulator's customers by whether they will buy: what its latent state says."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt

from include.local.sandbox.instants import DAY, seconds_of
from include.local.sandbox.simulator.browsing import FADING_DAYS, QUIET_BEFORE_DROPOUT, QUIET_SHARE, VISITS_PER_ORDER
from include.local.sandbox.simulator.population import CustomerTruth, Season
from include.local.sandbox.simulator.simulator import Simulator
from include.models.lifetime.bg_nbd import BgNbd

Scores = npt.NDArray[np.float64]


def best_possible(
    customers_asked: npt.NDArray[np.int64], days: npt.NDArray[np.int64], *, customers: int, seed: int, horizon_days: int
) -> tuple[Scores, Scores, Scores]:
    """P(no order in the label window) of each row, by one who knows everything but chance, and by two who know less.

    The first knows each customer's rate, and whether they have dropped out: who has will not buy, and of the others the
    wait until the next order is exponential in operational time. Nobody can rank better but by knowing the future.

    The second knows each customer's own rate and probability of dropping out, as nobody can who has seen few orders of
    them, and sees orders and visits: whether they have dropped out is left to Bayes' rule.

    The third knows the parameters that rates and drop-outs are drawn with, the season, and each customer's orders:
    BG/NBD in operational time is the exact posterior. Nobody who sees only orders can rank better than that; who also
    sees what customers do on the site between orders may.

    :param days: the snapshots as days since 1970-01-01.
    """
    simulator = Simulator(customers=customers, seed=seed)
    truths = {truth.customer_id: truth for truth in simulator.truth}
    season = simulator.season
    model = simulator.model
    posterior = BgNbd(r=model.r, alpha=model.alpha_days, a=model.a, b=model.b)
    visits = _visits(simulator)
    knows_all, knows_rates, knows_orders = [], [], []
    for customer, day in zip(customers_asked.tolist(), days.tolist(), strict=True):
        truth, at = truths[customer], day * DAY
        now, then = season.operational_days(np.array([at, at + horizon_days * DAY], dtype=float))
        is_gone = truth.dropped_out_at is not None and truth.dropped_out_at < at
        stays_away = float(np.exp(-truth.rate_per_day * (then - now)))
        knows_all.append(1.0 if is_gone else stays_away)
        gone = _probability_of_having_left(truth, visits[customer], at=at, season=season)
        knows_rates.append(gone + (1 - gone) * stays_away)
        before = season.operational_days(np.array([each for each in truth.purchases if each < at], dtype=float))
        bought = posterior.probability_of_purchase(
            float(then - now), len(before) - 1, before[-1] - before[0], now - before[0]
        )
        knows_orders.append(1.0 - float(bought))
    return np.array(knows_all), np.array(knows_rates), np.array(knows_orders)


def _visits(simulator: Simulator) -> dict[int, list[int]]:
    """Per customer the instants of the sessions without a purchase, in order; of those received by their end."""
    first_at: dict[str, tuple[int, int]] = {}
    bought: set[str] = set()
    for line in simulator.shop().events.lines:
        event = msgspec.json.decode(line)
        session, customer = event["context"]["sessionId"], int(event.get("userId") or 0)
        if event["event"] in ("Checkout Started", "Order Completed"):
            bought.add(session)
        at = seconds_of(datetime.fromisoformat(event["timestamp"]))
        first_at[session] = customer, min(at, first_at.get(session, (0, at))[1])
    found = defaultdict(list)
    for session, (customer, at) in first_at.items():
        if session not in bought:
            found[customer].append(at)
    return defaultdict(list, {customer: sorted(instants) for customer, instants in found.items()})


def _probability_of_having_left(truth: CustomerTruth, visits: list[int], *, at: int, season: Season) -> float:
    """P(the last order before `at` was the last ever | rate, probability of dropping out, orders, visits).

    Who stayed has not ordered since and visits at the usual rate; who left visited less in the weeks before the last
    order, and ever less after it.
    """
    last = truth.purchases[bisect_left(truth.purchases, at) - 1]
    quiet_from = max(last - QUIET_BEFORE_DROPOUT, truth.joined_at)
    quiet, waited = np.diff(season.operational_days(np.array([quiet_from, last, at], dtype=float)))
    rate = truth.rate_per_day * VISITS_PER_ORDER
    before = sum(quiet_from <= each < last for each in visits)
    after = np.array([each for each in visits if last <= each < at], dtype=float)
    # Rates per day of the calendar, as the ones after a drop-out are.
    speeds = (season.operational_days(after + 1800) - season.operational_days(after - 1800)) * DAY / 3600
    stayed = np.log1p(-truth.dropout_probability) - (truth.rate_per_day + rate) * waited
    stayed += np.log(rate * np.maximum(speeds, 1e-9)).sum()
    left = np.log(truth.dropout_probability) + before * np.log(QUIET_SHARE) + rate * (1 - QUIET_SHARE) * quiet
    left += (np.log(rate) - (after - last) / DAY / FADING_DAYS).sum()
    left -= rate * FADING_DAYS * (1 - np.exp(-(at - last) / DAY / FADING_DAYS))
    return float(1 / (1 + np.exp(np.clip(stayed - left, -700, 700))))
