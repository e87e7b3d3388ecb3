"""Activity and rhythm of customers."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureType, FeatureView

_MONEY = "currency of the shop"
_DAYS_IN_WINDOWS = (30, 90, 365)


def _in_windows(name: str, type_: FeatureType, unit: str, description: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(f"{name}_{days}d", type_, unit, f"{description} in the {days} days before the snapshot")
        for days in _DAYS_IN_WINDOWS
    )


CUSTOMER_ACTIVITY = FeatureView(
    name="customer_activity",
    entity=CUSTOMER,
    features=(
        *_in_windows("order_count", "integer", "orders", "paid orders"),
        *_in_windows("revenue_amount", "money", _MONEY, "paid"),
        *_in_windows("refund_amount", "money", _MONEY, "given back"),
        *_in_windows("distinct_product_count", "integer", "products", "different products bought"),
        *_in_windows("event_count", "integer", "events", "web events"),
        *_in_windows("gap_mean_days", "number", "days", "mean gap between purchases, for gaps that ended"),
        *_in_windows(
            "gap_deviation_days", "number", "days", "sample standard deviation of the gaps between purchases that ended"
        ),
        Feature("typical_gap_days", "number", "days", "mean gap between all purchases so far"),
        Feature("tenure_days", "number", "days", "time since the first purchase"),
        Feature("recency_over_typical_gap", "number", "ratio", "time since the last purchase over the typical gap"),
    ),
    reads=("shop.orders", "shop.order_lines", "shop.refunds", "shop.events"),
    is_newest_first=True,
    description="What customers did in the last 30, 90 and 365 days, and how regularly they buy.",
    owner="growth",
    tags=("churn",),
    ttl=timedelta(days=7),
    expectations=(
        FeatureExpectation(rows_at_least=1, rows_change_at_most=0.2),
        FeatureExpectation(feature="order_count_365d", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="tenure_days", at_least=0, null_share_at_most=0),
    ),
)
