"""The best rankings of the simulator's customers by whether they will buy: by its latent state, by its laws."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from include.local.sandbox.instants import DAY, seconds_of
from include.local.sandbox.simulator.browsing import FADING_DAYS, QUIET_BEFORE_DROPOUT, QUIET_SHARE, VISITS_PER_ORDER
from include.local.sandbox.simulator.orders import (
    COMPLETED_AFTER_DAYS,
    REFUNDED_AFTER_DAYS,
    REFUNDED_SHARE,
    REFUNDED_SHARE_OF_LAST,
)
from include.local.sandbox.simulator.population import CustomerTruth, PurchaseModel, Season
from include.local.sandbox.simulator.simulator import Simulator

Scores = npt.NDArray[np.float64]
KNOWS_STATE = "who knows each customer's rate and whether they are still one"
KNOWS_RATES = "who knows each customer's rate and risk of leaving, and sees orders, visits and refunds"
KNOWS_LAWS = "who knows the simulator's laws, and sees orders, visits and refunds"
SEES_ORDERS = "who knows the simulator's laws, and sees orders"


def best_possible(
    customers_asked: npt.NDArray[np.int64], days: npt.NDArray[np.int64], *, customers: int, seed: int, horizon_days: int
) -> dict[str, Scores]:
    """P(no order in the label window) of each row, by one who knows everything but chance, and by three who know less.

    `KNOWS_STATE`: who has dropped out will not buy, and of the others the wait until the next order is exponential in
    operational time. Nobody can rank better but by knowing the future. `KNOWS_RATES`: whether somebody has dropped out
    is left to Bayes' rule. `KNOWS_LAWS`: rates and risks, too, are known by what they are drawn from and by what the
    customer did. So much can be learnt from a shop; no model of it can do better on the whole. `SEES_ORDERS` is the
    same of a shop without events and refunds: BG/NBD in operational time.

    :param days: the snapshots as days since 1970-01-01.
    """
    simulator = Simulator(customers=customers, seed=seed)
    truths = {truth.customer_id: truth for truth in simulator.truth}
    refunds = {
        (draft.person.customer_id, draft.paid_at): refund.refunded_at
        for draft in simulator.drafts
        for refund in draft.refunds
    }
    visits, season, laws = _visits(simulator), simulator.season, Laws(simulator.model)
    found = defaultdict(list)
    for customer, day in zip(customers_asked.tolist(), days.tolist(), strict=True):
        truth, at = truths[customer], day * DAY
        orders = of_orders(truth, season, at=at, horizon_days=horizon_days)
        refunded_at = refunds.get((customer, truth.purchases[orders.repeats]))
        seen = and_refund(and_visits(orders, truth, visits[customer], season, at=at), truth, refunded_at, at=at)
        is_gone = truth.dropped_out_at is not None and truth.dropped_out_at < at
        found[KNOWS_STATE].append(1.0 if is_gone else float(np.exp(-truth.rate_per_day * seen.ahead)))
        found[KNOWS_RATES].append(seen.probability_of_churn(Known(truth)))
        found[KNOWS_LAWS].append(seen.probability_of_churn(laws))
        found[SEES_ORDERS].append(orders.probability_of_churn(laws))
    return {name: np.array(scores) for name, scores in found.items()}


class Beliefs(Protocol):
    """What is known of a customer before anything is seen of them."""

    def evidence(self, count: int, exposure: float) -> float:
        """Log of the chance of `count` events at the customer's rate, but for a term without `exposure`."""
        ...

    def left_log_odds(self, repeats: int) -> float:
        """That the last order was the last ever, after it and `repeats - 1` others that were not."""
        ...


@dataclass(frozen=True)
class Known:
    """The customer's own rate and probability of dropping out."""

    truth: CustomerTruth

    def evidence(self, count: int, exposure: float) -> float:
        return -self.truth.rate_per_day * exposure

    def left_log_odds(self, repeats: int) -> float:
        return float(np.log(self.truth.dropout_probability) - np.log1p(-self.truth.dropout_probability))


@dataclass(frozen=True)
class Laws:
    """What all customers' rates (gamma) and probabilities of dropping out (beta) are drawn from."""

    model: PurchaseModel

    def evidence(self, count: int, exposure: float) -> float:
        return float(-(self.model.r + count) * np.log(self.model.alpha_days + exposure))

    def left_log_odds(self, repeats: int) -> float:
        return float(np.log(self.model.a) - np.log(self.model.b + repeats - 1))


@dataclass(frozen=True)
class History:
    """What is seen of a customer before an instant, told by one who asks whether the last order was the last ever.

    :param repeats: orders after the first one.
    :param count: events at the customer's rate: those, and visits.
    :param if_stayed, if_left: for how many days at the full rate they were waited for.
    :param left_log_ratio: by how much more likely the rest, which says nothing of the rate, is of one who left.
    :param ahead: operational days of the label window.
    """

    repeats: int
    count: int
    if_stayed: float
    if_left: float
    left_log_ratio: float
    ahead: float

    def probability_of_churn(self, beliefs: Beliefs) -> float:
        """P(no order in the label window). Nobody leaves with the first order."""
        stayed = beliefs.evidence(self.count, self.if_stayed)
        stays_away = float(np.exp(beliefs.evidence(self.count, self.if_stayed + self.ahead) - stayed))
        if not self.repeats:
            return stays_away
        odds = beliefs.left_log_odds(self.repeats) + self.left_log_ratio
        odds += beliefs.evidence(self.count, self.if_left) - stayed
        left = float(1 / (1 + np.exp(-np.clip(odds, -700, 700))))
        return left + (1 - left) * stays_away


def of_orders(truth: CustomerTruth, season: Season, *, at: int, horizon_days: int) -> History:
    """What the orders of a customer tell: who stayed has not ordered since the last one."""
    repeats = bisect_left(truth.purchases, at) - 1
    instants = [truth.joined_at, truth.purchases[repeats], at, at + horizon_days * DAY]
    bought, waited, ahead = np.diff(season.operational_days(np.array(instants, dtype=float))).tolist()
    return History(repeats, repeats, bought + waited, bought, 0.0, ahead)


def and_visits(orders: History, truth: CustomerTruth, visits: Sequence[int], season: Season, *, at: int) -> History:
    """Who stayed visits at the usual rate; who left, less in the weeks before the last order and ever less after it.

    :param visits: instants of the customer's sessions without an order.
    """
    last = truth.purchases[orders.repeats]
    quiet_from = max(last - QUIET_BEFORE_DROPOUT, truth.joined_at)
    quiet = float(np.diff(season.operational_days(np.array([quiet_from, last], dtype=float)))[0])
    own = np.array([each for each in visits if truth.joined_at <= each < at], dtype=float)
    after = own[own >= last]
    # Rates per day of the calendar, as the ones after a drop-out are. A season is as busy all through an hour.
    hours = after // 3600 * 3600
    speeds = (season.operational_days(hours + 3600) - season.operational_days(hours)) * DAY / 3600
    ratio = ((quiet_from <= own) & (own < last)).sum() * np.log(QUIET_SHARE)
    ratio += (-(after - last) / DAY / FADING_DAYS - np.log(speeds)).sum()
    faded = FADING_DAYS * (1 - np.exp(-(at - last) / DAY / FADING_DAYS))
    return replace(
        orders,
        count=orders.count + len(own),
        if_stayed=orders.if_stayed * (1 + VISITS_PER_ORDER),
        if_left=orders.if_left + VISITS_PER_ORDER * (orders.if_left - (1 - QUIET_SHARE) * quiet + faded),
        left_log_ratio=orders.left_log_ratio + float(ratio),
    )


def and_refund(history: History, truth: CustomerTruth, refunded_at: int | None, *, at: int) -> History:
    """The last order of one who left is given back more often.

    :param refunded_at: when the last order before `at` was refunded; None for never.
    """
    is_refunded = refunded_at is not None and refunded_at < at
    waited = (at - truth.purchases[history.repeats]) / DAY - np.linspace(*COMPLETED_AFTER_DAYS, 101)
    shortest, longest = REFUNDED_AFTER_DAYS
    would_be_known = float(np.clip((waited - shortest) / (longest - shortest), 0, 1).mean())
    of_left, of_stayed = (
        share if is_refunded else 1 - share * would_be_known for share in (REFUNDED_SHARE_OF_LAST, REFUNDED_SHARE)
    )
    return replace(history, left_log_ratio=history.left_log_ratio + float(np.log(of_left / of_stayed)))


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
