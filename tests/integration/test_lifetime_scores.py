"""Lifetime value in the warehouse: fits and values of a shop, beside a plain look at its orders."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.views.customer_lifetime import CUSTOMER_LIFETIME
from include.models.lifetime.bg_nbd_fit import fit_bg_nbd
from include.models.lifetime.gamma_gamma import fit_gamma_gamma
from include.models.lifetime.maximum_likelihood import FitRefused
from include.models.lifetime.refit import NoLifetimeModel, current_fit, refit_lifetime
from include.models.lifetime.scores import score_lifetime
from include.models.lifetime.value import LifetimeModel, lifetime_values
from tests.integration.feature_shop import DAY, NOW, Order, day, load

START = day("2024-01-01")
SNAPSHOT = day("2024-12-01")


def orders_of(seed: int, customers: int) -> list[Order]:
    rng = random.Random(seed)
    orders: list[Order] = []
    for customer in range(1, customers + 1):
        instant, rate, mean = START + DAY * rng.uniform(0, 333), rng.gammavariate(1.0, 1 / 30), rng.gammavariate(3, 10)
        leaves = rng.betavariate(0.8, 2.5)
        while instant < SNAPSHOT + DAY * 30:
            amount = Decimal(round(rng.gammavariate(5, mean / 5) + 0.01, 2)).quantize(Decimal("0.01"))
            orders.append(Order(len(orders) + 1, customer, instant, amount))
            if rng.random() < leaves:
                break
            instant += DAY * max(rng.expovariate(rate), 0.01)
    return orders


ORDERS = orders_of(41, 300)


def histories(orders: list[Order], snapshot_at: datetime) -> dict[int, tuple[float, float, float, float]]:
    """Customer to (x, t_x, T, m), counted in UTC days."""
    days: dict[int, dict] = {}
    for order in orders:
        if order.paid_at < snapshot_at:
            own = days.setdefault(order.customer_id, {})
            own[order.paid_at.date()] = own.get(order.paid_at.date(), 0) + float(order.amount)
    found = {}
    for customer, own in days.items():
        first, *again = sorted(own)
        mean = float(np.mean([own[each] for each in again])) if again else np.nan
        found[customer] = (len(again), (max(own) - first).days, (snapshot_at.date() - first).days, mean)
    return found


@pytest.fixture
def shop(warehouse):
    load(warehouse, ORDERS)
    build_view(warehouse, CUSTOMER_LIFETIME, Window(SNAPSHOT - DAY * 8, SNAPSHOT), now=NOW)
    warehouse.commit()
    return warehouse


def values(conn, snapshot_at: datetime = SNAPSHOT) -> dict[int, tuple]:
    rows = conn.execute(
        """
        SELECT customer_id, probability_alive, expected_purchases, purchase_value_amount, value_amount,
            value_low_amount, value_high_amount
        FROM ml.lifetime_values WHERE snapshot_at = %s
        """,
        (snapshot_at,),
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_fit_and_values_are_those_of_the_orders(shop) -> None:
    fit = refit_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW, horizon_days=90, annual_discount_rate=0.2)
    known = histories(ORDERS, SNAPSHOT)
    x, t_x, age, m = (np.array(column, dtype=float) for column in zip(*known.values(), strict=True))
    purchases, amounts = fit_bg_nbd(x, t_x, age), fit_gamma_gamma(x, m)
    assert fit.model.bg_nbd.alpha == pytest.approx(purchases.model.alpha, rel=1e-6)
    assert fit.model.gamma_gamma.v == pytest.approx(amounts.model.v, rel=1e-6)
    receipt = score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    assert (receipt.received, receipt.inserted) == (len(known), len(known))
    model = LifetimeModel(purchases.model, amounts.model, purchases.covariance, amounts.covariance, 90, 0.2)
    expected = lifetime_values(model, x, t_x, age, m)
    found = values(shop)
    assert set(found) == set(known)
    columns = (
        expected.probability_alive, expected.expected_purchases, expected.purchase_value, expected.value, expected.low,
        expected.high,
    )  # fmt: skip
    for customer, *want in zip(known, *columns, strict=True):
        assert found[customer] == pytest.approx(want, rel=1e-4)


def test_running_again_writes_nothing_twice(shop) -> None:
    first = refit_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    shop.commit()
    before = shop.execute("SELECT ctid, xmin, t FROM ml.lifetime_values AS t ORDER BY 1").fetchall()
    again = refit_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW + DAY)
    receipt = score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW + DAY)
    assert again.lifetime_model_id == first.lifetime_model_id
    assert (receipt.inserted, receipt.updated, receipt.unchanged) == (0, 0, len(before))
    assert shop.execute("SELECT ctid, xmin, t FROM ml.lifetime_values AS t ORDER BY 1").fetchall() == before
    assert shop.execute("SELECT count(*) FROM ml.lifetime_models").fetchone() == (1,)
    receipts = shop.execute("SELECT received, inserted, unchanged FROM ops.receipts WHERE step = 'score' ORDER BY 1, 2")
    assert receipts.fetchall() == [(len(before), 0, len(before)), (len(before), len(before), 0)]


def test_batches_of_any_size_give_the_same_bits(shop) -> None:
    refit_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    whole = values(shop)
    shop.execute("TRUNCATE ml.lifetime_values")
    score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW, batch_rows=7)
    assert values(shop) == whole


def test_a_fit_of_a_later_snapshot_does_not_count_for_an_earlier_one(shop) -> None:
    with pytest.raises(NoLifetimeModel, match="no fit of a snapshot up to 2024-12-01"):
        score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    early = refit_lifetime(shop, snapshot_at=SNAPSHOT - DAY * 7, now=NOW)
    late = refit_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    assert current_fit(shop, at=SNAPSHOT - timedelta(microseconds=1)).lifetime_model_id == early.lifetime_model_id
    assert current_fit(shop, at=SNAPSHOT).lifetime_model_id == late.lifetime_model_id
    assert current_fit(shop).lifetime_model_id == late.lifetime_model_id
    with pytest.raises(NoLifetimeModel):
        current_fit(shop, at=SNAPSHOT - DAY * 8)


def test_values_of_earlier_snapshots_are_kept(shop) -> None:
    refit_lifetime(shop, snapshot_at=SNAPSHOT - DAY * 7, now=NOW)
    score_lifetime(shop, snapshot_at=SNAPSHOT - DAY * 7, now=NOW)
    before = values(shop, SNAPSHOT - DAY * 7)
    refit_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    assert values(shop, SNAPSHOT - DAY * 7) == before
    assert len(values(shop)) > len(before) > 0


def test_features_older_than_their_ttl_have_no_value(shop) -> None:
    refit_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    at_the_bound = score_lifetime(shop, snapshot_at=SNAPSHOT + DAY * 7, now=NOW)
    beyond = score_lifetime(shop, snapshot_at=SNAPSHOT + DAY * 7 + timedelta(microseconds=1), now=NOW)
    assert (at_the_bound.received, beyond.received) == (len(histories(ORDERS, SNAPSHOT)), 0)


def test_a_shop_nobody_came_back_to_is_refused_and_nothing_is_written(warehouse) -> None:
    load(warehouse, [Order(number, number, SNAPSHOT - DAY * 5) for number in range(1, 100)])
    build_view(warehouse, CUSTOMER_LIFETIME, Window(SNAPSHOT - DAY, SNAPSHOT), now=NOW)
    with pytest.raises(FitRefused, match="99 customers, 0 of whom came back, are too few"):
        refit_lifetime(warehouse, snapshot_at=SNAPSHOT, now=NOW)
    assert warehouse.execute("SELECT count(*) FROM ml.lifetime_models").fetchone() == (0,)
