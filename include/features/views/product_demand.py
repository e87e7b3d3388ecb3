"""Demand for products day by day, and the price they sell at."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.entity import PRODUCT
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureType, FeatureView

_MONEY = "currency of the shop"
_CIRCLE = "-1 to 1"


def _per_window(days: tuple[int, ...], name: str, type_: FeatureType, unit: str, description: str) -> list[Feature]:
    return [Feature(f"{name}_{width}d", type_, unit, f"{description} in the last {width} days") for width in days]


PRODUCT_DEMAND = FeatureView(
    name="product_demand",
    entity=PRODUCT,
    features=(
        *(
            Feature(
                f"units_lag_{day}d",
                "integer",
                "units",
                f"sold on the day that ends {day - 1} days before the snapshot; null before the day of the first sale",
            )
            for day in (1, 7, 14, 28)
        ),
        *_per_window((7, 28), "units_mean", "number", "units per day", "mean of the units sold per day"),
        *_per_window(
            (7, 28), "units_deviation", "number", "units per day", "sample standard deviation of the units sold per day"
        ),
        *_per_window((28, 90), "units", "integer", "units", "sold"),
        *_per_window(
            (28, 90), "sales_amount", "money", _MONEY, "earned, after discounts, without tax and before returns,"
        ),
        Feature(
            "distinct_buyer_count_28d", "integer", "customers", "registered customers who bought in the last 28 days"
        ),
        Feature("snapshot_weekday", "integer", "ISO weekday, 1 is Monday", "weekday of the snapshot in UTC"),
        Feature("snapshot_weekday_sine", "number", _CIRCLE, "sine of the weekday on a circle, on which Monday is at 0"),
        Feature("snapshot_weekday_cosine", "number", _CIRCLE, "cosine of the weekday on the same circle"),
        Feature(
            "price_position_90d",
            "number",
            "ratio",
            "unit price of the last sale over the mean that was paid per unit in the last 90 days; null where nothing "
            "was paid",
        ),
        Feature("days_since_last_sale", "number", "days", "time since the last sale"),
        Feature(
            "returned_share_90d",
            "number",
            "ratio",
            "units given back over units sold, both in the last 90 days, so above 1 where older sales come back; "
            "null without sales",
        ),
    ),
    reads=("shop.orders", "shop.order_lines", "shop.refunds", "shop.refund_lines"),
    description=(
        "How many units of a product are sold day by day, to how many buyers and at which price. Days are spans of 24 "
        "hours that end at the snapshot (day 1) and before it, so days of UTC where the snapshot is a midnight. Days "
        "without a sale count as zero from the day of the first sale on; days before that one do not count."
    ),
    owner="merchandising",
    tags=("demand",),
    ttl=timedelta(days=7),
    expectations=(
        FeatureExpectation(rows_at_least=1, rows_change_at_most=0.2),
        FeatureExpectation(feature="units_90d", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="units_mean_7d", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="snapshot_weekday", at_least=1, at_most=7, null_share_at_most=0),
        FeatureExpectation(feature="price_position_90d", at_least=0),
        FeatureExpectation(feature="days_since_last_sale", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="returned_share_90d", at_least=0),
    ),
)
