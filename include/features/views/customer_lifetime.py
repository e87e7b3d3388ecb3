"""How long customers have been customers, how often they came back, and what they paid so far."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureView

_MONEY = "currency of the shop"
_UTC_DAYS = "days of the calendar in UTC"


CUSTOMER_LIFETIME = FeatureView(
    name="customer_lifetime",
    entity=CUSTOMER,
    features=(
        Feature("lifetime_tenure_days", "number", "days", "time since the first purchase"),
        # Frequency, recency and age: P. Fader, B. Hardie, K. Lee (2005), "Counting Your Customers" the Easy Way: An
        # Alternative to the Pareto/NBD Model, Marketing Science 24(2), 275-284.
        Feature(
            "repeat_purchase_days",
            "integer",
            _UTC_DAYS,
            "days with a purchase after the day of the first one: frequency x of the BG/NBD model",
        ),
        Feature(
            "lifetime_recency_days",
            "integer",
            _UTC_DAYS,
            "from the day of the first purchase to that of the last one: recency t_x of the BG/NBD model, 0 without a "
            "repeat",
        ),
        Feature(
            "lifetime_age_days",
            "integer",
            _UTC_DAYS,
            "from the day of the first purchase to that of the snapshot: age T of the BG/NBD model",
        ),
        # P. Fader, B. Hardie (2013), The Gamma-Gamma Model of Monetary Value.
        Feature(
            "average_repeat_day_amount",
            "number",
            _MONEY,
            "paid on average on a day of repeat purchases, refunds not taken off: what the Gamma-Gamma model wants; "
            "null without a repeat",
        ),
        Feature("historic_value_amount", "money", _MONEY, "paid ever, less refunds ever"),
        Feature("lifetime_paid_amount", "money", _MONEY, "paid ever"),
        Feature("average_order_amount", "number", _MONEY, "paid ever per order, refunds not taken off"),
        Feature("first_order_amount", "money", _MONEY, "paid for the first order"),
        Feature("last_order_amount", "money", _MONEY, "paid for the last order"),
        Feature("largest_order_amount", "money", _MONEY, "paid for the largest order"),
        Feature(
            "days_to_second_purchase",
            "number",
            "days",
            "time from the first instant of purchase to the second one; null before it",
        ),
        Feature(
            "largest_gap_days",
            "number",
            "days",
            "longest time between two consecutive instants of purchase; null before the second one",
        ),
        Feature("lifetime_refund_count", "integer", "refunds", "refunds ever"),
    ),
    reads=("shop.orders", "shop.refunds"),
    is_newest_first=True,
    description="How long customers have been customers, how often they came back, and what they paid so far.",
    owner="growth",
    tags=("lifetime value",),
    ttl=timedelta(days=7),
    expectations=(
        FeatureExpectation(rows_at_least=1, rows_change_at_most=0.2),
        FeatureExpectation(feature="lifetime_tenure_days", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="repeat_purchase_days", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="lifetime_recency_days", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="lifetime_age_days", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="lifetime_paid_amount", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="lifetime_refund_count", at_least=0, null_share_at_most=0),
    ),
)
