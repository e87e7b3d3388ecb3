"""The simulated shop: its truth is BG/NBD, its books add up, and a seed is a shop."""

from __future__ import annotations

import hashlib
from collections import Counter
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from scipy.special import hyp2f1

from include.local.sandbox.instants import DAY, parse_instant
from include.local.sandbox.shop import Shop
from include.local.sandbox.simulator.population import PurchaseModel, Season, simulate_population
from include.local.sandbox.simulator.simulator import END, START, Simulator

MODEL = PurchaseModel()
PEOPLE = 12_000


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(customers=400, seed=7)


@pytest.fixture(scope="module")
def shop(simulator: Simulator) -> Shop:
    return simulator.shop()


@pytest.fixture(scope="module")
def population() -> tuple[np.ndarray, np.ndarray]:
    """For many customers: how long each could buy, in operational days, and how often each bought again."""
    season = Season(start=START, end=END)
    truths = simulate_population(
        customers=PEOPLE, first_customer_id=1, model=MODEL, season=season, random=np.random.default_rng(3)
    )
    joined = season.operational_days(np.array([truth.joined_at for truth in truths], dtype=float))
    exposure = float(season.operational_days(float(END))) - joined
    return exposure, np.array([len(truth.purchases) - 1 for truth in truths])


def everything(shop: Shop) -> str:
    """A digest of every byte that the shop could ever send."""
    digest = hashlib.sha256()
    for collection in (shop.orders, shop.refunds, shop.customers, shop.products):
        for position in range(len(collection.keys)):
            digest.update(msgspec.json.encode(collection.item(position)))
    for line in shop.events.lines:
        digest.update(line)
    return digest.hexdigest()


def test_the_same_seed_is_the_same_shop_to_the_byte_and_another_seed_is_not():
    first = everything(Simulator(customers=40, seed=5).shop())
    simulator = Simulator(customers=40, seed=5)
    assert everything(simulator.shop()) == first
    assert everything(simulator.shop()) == first, "asking twice gave two shops"
    assert everything(Simulator(customers=40, seed=6).shop()) != first


def test_the_mean_number_of_repeat_orders_is_the_closed_form_of_bg_nbd(population):
    exposure, repeats = population
    r, alpha, a, b = MODEL.r, MODEL.alpha_days, MODEL.a, MODEL.b
    share = exposure / (alpha + exposure)
    expected = (a + b - 1) / (a - 1) * (1 - (alpha / (alpha + exposure)) ** r * hyp2f1(r, b, a + b - 1, share))
    standard_error = (repeats - expected).std() / np.sqrt(PEOPLE)
    assert abs((repeats - expected).mean()) < 4 * standard_error


def test_the_share_without_a_repeat_order_is_the_closed_form_of_bg_nbd(population):
    exposure, repeats = population
    expected = (MODEL.alpha_days / (MODEL.alpha_days + exposure)) ** MODEL.r
    standard_error = np.sqrt((expected * (1 - expected)).sum()) / PEOPLE
    assert abs((repeats == 0).mean() - expected.mean()) < 4 * standard_error


def test_the_share_of_customers_who_drop_out_at_their_first_repeat_order_is_the_mean_of_the_beta():
    season = Season(start=START, end=END)
    truths = simulate_population(
        customers=PEOPLE, first_customer_id=1, model=MODEL, season=season, random=np.random.default_rng(4)
    )
    repeating = [truth for truth in truths if len(truth.purchases) > 1]
    at_once = [truth for truth in repeating if len(truth.purchases) == 2 and truth.dropped_out_at is not None]
    expected = MODEL.a / (MODEL.a + MODEL.b)
    standard_error = np.sqrt(expected * (1 - expected) / len(repeating))
    assert abs(len(at_once) / len(repeating) - expected) < 4 * standard_error


def test_operational_time_is_as_long_as_the_calendar_and_runs_faster_in_december():
    season = Season(start=START, end=END)
    assert season.operational_days(float(END)) == pytest.approx((END - START) / DAY)
    december, february = parse_instant("2024-12-01"), parse_instant("2024-02-01")
    busy = season.operational_days(float(december + 28 * DAY)) - season.operational_days(float(december))
    calm = season.operational_days(float(february + 28 * DAY)) - season.operational_days(float(february))
    assert busy > 1.3 * calm
    moments = np.linspace(START, END, 50)
    assert np.allclose(season.instants(season.operational_days(moments)), moments, atol=1)


def test_every_true_purchase_is_one_paid_order_and_nobody_buys_after_dropping_out(simulator, shop):
    paid: dict[int, set[int]] = {}
    for position in np.flatnonzero(shop.orders.visible(END)):
        order = shop.orders.item(position)
        if order.date_paid_gmt and order.customer_id:
            paid.setdefault(order.customer_id, set()).add(parse_instant(order.date_paid_gmt))
    assert paid == {truth.customer_id: set(truth.purchases) for truth in simulator.truth}
    for truth in simulator.truth:
        assert truth.purchases[0] == truth.joined_at
        if truth.dropped_out_at is not None:
            assert truth.purchases[-1] == truth.dropped_out_at


def test_every_version_of_every_order_adds_up_to_the_cent(shop):
    for position in range(len(shop.orders.keys)):
        order = shop.orders.item(position)
        lines = [*order.line_items, *order.shipping_lines, *order.fee_lines]
        assert sum(Decimal(line.total) for line in lines) == Decimal(order.total)
        discount = sum(Decimal(line.subtotal) - Decimal(line.total) for line in order.line_items)
        assert discount == Decimal(order.discount_total) == sum(Decimal(line.discount) for line in order.coupon_lines)
        assert len({line.id for line in lines}) == len(lines)


def test_every_refund_adds_up_and_its_order_lists_it_or_it_names_its_customer(shop):
    orders = {order.id: order for order in newest(shop.orders, now=END)}
    unlinked = 0
    for refund in newest(shop.refunds, now=END):
        lines = [*refund.line_items, *refund.shipping_lines, *refund.fee_lines]
        assert sum(Decimal(line.total) for line in lines) == -Decimal(refund.amount) < 0
        assert all(line.quantity < 0 for line in refund.line_items)
        if refund.parent_id:
            listed = {entry.id: entry.total for entry in orders[refund.parent_id].refunds}
            assert listed[refund.id] == f"-{refund.amount}"
        else:
            unlinked += 1
    assert 0 < unlinked < len(shop.refunds)


def test_orders_live_through_versions_and_some_are_edited_weeks_later(shop):
    last_instants: dict[int, tuple[int, int]] = {}
    for key, created, modified in zip(shop.orders.keys, shop.orders.created, shop.orders.modified, strict=True):
        first, last = last_instants.get(int(key), (int(created), int(created) - 1))
        assert modified > last, "versions of an order must be in time order"
        last_instants[int(key)] = (first, int(modified))
    weeks_later = [key for key, (first, last) in last_instants.items() if last - first > 14 * DAY]
    assert 0.005 * len(shop.orders) < len(weeks_later) < 0.15 * len(shop.orders)
    statuses = Counter(shop.orders.statuses)
    assert {"pending", "processing", "completed", "failed", "cancelled", "refunded"} == set(statuses)


def test_the_clock_shows_each_order_as_it_was(shop):
    now = parse_instant("2025-03-01T12:00:00Z")
    expected: dict[int, tuple[int, int]] = {}
    for position, (key, modified) in enumerate(zip(shop.orders.keys, shop.orders.modified, strict=True)):
        if modified <= now and (int(modified), position) > expected.get(int(key), (-1, -1)):
            expected[int(key)] = (int(modified), position)
    assert {position for _, position in expected.values()} == set(np.flatnonzero(shop.orders.visible(now)).tolist())


def test_ids_of_orders_and_refunds_come_from_one_sequence_in_order_of_creation(shop):
    ids = dict(zip(shop.orders.keys.tolist(), shop.orders.created.tolist(), strict=True))
    ids |= dict(zip(shop.refunds.keys.tolist(), shop.refunds.created.tolist(), strict=True))
    assert len(ids) == len(shop.orders) + len(shop.refunds)
    instants = [ids[key] for key in sorted(ids)]
    assert instants == sorted(instants)


def test_events_tell_each_paid_order_once_and_are_anonymous_before_the_first(shop):
    events = [msgspec.json.decode(line) for line in shop.events.lines]
    assert len({event["messageId"] for event in events}) == len(events)
    assert [(event["receivedAt"], event["messageId"]) for event in events] == sorted(
        (event["receivedAt"], event["messageId"]) for event in events
    )
    completed = Counter(event["properties"]["order_id"] for event in events if event["event"] == "Order Completed")
    assert set(completed.values()) == {1}
    paid = {str(order.id) for order in newest(shop.orders, now=END) if order.date_paid_gmt}
    assert set(completed) <= paid and len(paid) - len(completed) < 10, "only the very last may be received too late"
    assert {event["event"] for event in events} == {
        "Product Viewed",
        "Product Added",
        "Checkout Started",
        "Order Completed",
    }
    first_login: dict[str, str] = {}
    for event in sorted(events, key=lambda event: event["timestamp"]):
        if event["userId"]:
            first_login.setdefault(event["anonymousId"], event["timestamp"])
    before = [
        event
        for event in events
        if event["userId"] is None and event["timestamp"] < first_login.get(event["anonymousId"], "")
    ]
    assert len(before) > 100


def test_browsing_dies_away_after_a_customer_has_dropped_out(simulator, shop):
    dropped = {str(truth.customer_id): truth for truth in simulator.truth if truth.dropped_out_at}
    before, after = 0, 0
    for event in map(msgspec.json.decode, shop.events.lines):
        truth = dropped.get(event["userId"] or "")
        if truth is None:
            continue
        since = (parse_instant(event["timestamp"]) - truth.dropped_out_at) / DAY
        before += -130 <= since < -30
        after += 30 < since <= 130
    assert before > 20 * max(after, 1)


def test_both_staying_and_leaving_are_common_in_the_last_ninety_days(simulator):
    snapshot = END - 90 * DAY
    known = [truth for truth in simulator.truth if truth.joined_at < snapshot]
    churned = [truth for truth in known if truth.purchases[-1] < snapshot]
    assert 0.40 < len(churned) / len(known) < 0.75


def newest(collection, *, now):
    """The newest version of every record."""
    return [collection.item(int(position)) for position in np.flatnonzero(collection.visible(now))]
