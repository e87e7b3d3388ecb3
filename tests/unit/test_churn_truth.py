"""The rankings that the churn model is measured against on the simulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from bench.churn_truth import Known, Laws, and_refund, and_visits, of_orders
from include.local.sandbox.instants import DAY
from include.local.sandbox.simulator.simulator import START, Simulator
from include.models.lifetime.bg_nbd import BgNbd

HORIZON = 90
AT = START + 640 * DAY
SHOP = Simulator(customers=40, seed=3)
TRUTHS = [truth for truth in SHOP.truth if truth.joined_at < AT]
HISTORIES = [of_orders(truth, SHOP.season, at=AT, horizon_days=HORIZON) for truth in TRUTHS]


def test_of_orders_alone_the_laws_make_bg_nbd():
    law = SHOP.model
    model = BgNbd(r=law.r, alpha=law.alpha_days, a=law.a, b=law.b)
    now, then = SHOP.season.operational_days(np.array([AT, AT + HORIZON * DAY], dtype=float))
    for truth, history in zip(TRUTHS, HISTORIES, strict=True):
        bought = SHOP.season.operational_days(np.array([each for each in truth.purchases if each < AT], dtype=float))
        stays = model.probability_of_purchase(then - now, len(bought) - 1, bought[-1] - bought[0], now - bought[0])
        assert history.probability_of_churn(Laws(law)) == pytest.approx(1 - float(stays), abs=1e-12)


def test_visits_weigh_as_their_rates_hour_by_hour_do():
    """The oracle counts visits in steps of ten minutes: 1.2 an order; two fifths of it in the 30 days before the last
    order of one who left, and after it ever less, by a factor of e in ten days."""
    random = np.random.default_rng(5)
    steps = np.arange(START, AT + 1, 600, dtype=float)
    middles, busy = steps[:-1] + 300, np.diff(SHOP.season.operational_days(steps))
    for truth, orders in zip(TRUTHS, HISTORIES, strict=True):
        last = truth.purchases[orders.repeats]
        visits = sorted(random.integers(max(truth.joined_at, last - 40 * DAY), AT, 3).tolist())
        seen = and_visits(orders, truth, visits, SHOP.season, at=AT)
        stayed = 1.2 * truth.rate_per_day * busy * (middles > truth.joined_at)
        left = np.where(middles > last - 30 * DAY, 0.4, 1.0) * stayed
        fading = 1.2 * truth.rate_per_day / 144 * np.exp(-(middles - last) / DAY / 10)
        left = np.where(middles > last, fading, left)
        places = [int(visit - START) // 600 for visit in visits]
        odds = np.log(left[places] / stayed[places]).sum() - (left - stayed).sum()
        odds += truth.rate_per_day * busy[middles > last].sum()
        odds += np.log(truth.dropout_probability / (1 - truth.dropout_probability))
        gone, stays_away = float(expit(odds)) * (orders.repeats > 0), np.exp(-truth.rate_per_day * orders.ahead)
        assert seen.probability_of_churn(Known(truth)) == pytest.approx(gone + (1 - gone) * stays_away, abs=0.01)


@pytest.mark.parametrize("days", (3, 15, 40))
def test_a_refund_weighs_as_often_as_it_happens(days):
    random = np.random.default_rng(7)
    truth = replace(TRUTHS[0], purchases=(AT - days * DAY,), joined_at=AT - days * DAY)
    orders = of_orders(truth, SHOP.season, at=AT, horizon_days=HORIZON)
    is_seen = random.uniform(0.5, 4.5, 200_000) + random.uniform(1, 24, 200_000) < days
    none_of_left, none_of_stayed = (1 - share * is_seen.mean() for share in (0.22, 0.06))
    without = and_refund(orders, truth, AT + 1, at=AT).left_log_ratio
    assert without == pytest.approx(np.log(none_of_left / none_of_stayed), abs=0.002)
    assert and_refund(orders, truth, AT - 1, at=AT).left_log_ratio == pytest.approx(np.log(0.22 / 0.06))
