"""Which features the churn model may read, and which of them measure one thing.

The training set has all features of the feature service `churn`; the model reads those named here that have data.
Scores and segments are left out: they rank a customer among all others, and would move with them.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.features.definitions.on_demand import ON_DEMAND_FEATURES
from include.features.registry import REGISTRY
from include.models.churn.model import SEASON_INPUT

RECENCY = "recency_days_now"
SILENCE = ("expected_purchases_since_activity", "expected_purchases_before_visit")
"""How long a silence is for this customer: the same weeks say more of one who used to come often."""
ON_DEMAND = (RECENCY, *SILENCE, SEASON_INPUT)
SERVICE = REGISTRY.service("churn")
CORE_VIEW = "customer_rfm"
"""Who has no row of this view at a snapshot is not asked about; other views may lack rows, or have none at all."""

GROUPS: dict[str, tuple[str, ...]] = {
    RECENCY: (RECENCY, "recency_over_typical_gap"),
    "order_count_90d": (
        "order_count_90d", "order_count_30d", "distinct_product_count_90d", "distinct_product_count_30d",
    ),
    "frequency": ("frequency", "repeat_purchase_days", "order_count_365d"),
    "revenue_amount_365d": (
        "revenue_amount_365d", "revenue_amount_90d", "revenue_amount_30d", "monetary_amount", "lifetime_paid_amount",
    ),
    "average_order_amount": (
        "average_order_amount", "first_order_amount", "last_order_amount", "largest_order_amount",
        "average_repeat_day_amount",
    ),
    "typical_gap_days": (
        "typical_gap_days", "gap_mean_days_90d", "gap_mean_days_365d", "days_to_second_purchase", "largest_gap_days",
    ),
    "gap_deviation_days_365d": ("gap_deviation_days_365d", "gap_deviation_days_90d"),
    "tenure_days": ("tenure_days", "lifetime_age_days"),
    "refund_amount_365d": (
        "refund_amount_365d", "refund_amount_90d", "lifetime_refund_count", "refunded_value_share_365d",
        "refunded_order_share_ever",
    ),
    "distinct_product_count_365d": (
        "distinct_product_count_365d", "distinct_product_count_ever", "distinct_category_count_365d",
        "product_concentration_ever",
    ),
    "favourite_category_365d": ("favourite_category_365d", "favourite_category_share_365d"),
    "units_per_order_365d": ("units_per_order_365d", "lines_per_order_365d"),
    "average_unit_price_365d": ("average_unit_price_365d",),
    "discount_share_365d": ("discount_share_365d", "discounted_order_share_365d"),
    "product_repeat_share_365d": ("product_repeat_share_365d", "product_repeat_share_ever"),
    "days_since_last_visit": ("days_since_last_visit", *SILENCE),
    "session_count_90d": (
        "session_count_90d", "session_count_30d", "event_count_30d", "event_count_90d", "product_viewed_count_30d",
        "product_viewed_count_90d", "distinct_viewed_product_count_30d",
    ),
    "product_added_count_90d": (
        "product_added_count_90d", "product_added_count_30d", "checkout_started_count_90d",
        "checkout_started_count_30d",
    ),
    "cart_abandonment_share_90d": ("cart_abandonment_share_90d", "session_conversion_share_90d"),
}  # fmt: skip
"""By the one that stands for them: features that measure one thing, replaced together when reasons are sought."""

_WORDS = {RECENCY: "time since the last purchase"}


@dataclass(frozen=True, slots=True)
class Input:
    """A feature that the model may read; `view` is empty for one that is computed on demand."""

    name: str
    view: str
    type: str
    unit: str
    description: str


def _all() -> dict[str, Input]:
    """By name, in the order of the groups."""
    of_views = {
        feature.name: Input(feature.name, view.name, feature.type, feature.unit, feature.description)
        for view in REGISTRY.views.values()
        for feature in view.features
    }
    on_demand = {
        each.name: Input(each.name, "", each.type, each.unit, _WORDS.get(each.name, each.description))
        for each in ON_DEMAND_FEATURES.values()
    }
    known = of_views | on_demand
    wanted = {known[name].view for members in GROUPS.values() for name in members} - {""}
    served = {REGISTRY.features_of(item)[0].name for item in SERVICE.features}
    assert wanted <= served, f"The feature service churn lacks {', '.join(sorted(wanted - served))}."
    return {name: known[name] for members in GROUPS.values() for name in members} | {SEASON_INPUT: known[SEASON_INPUT]}


INPUTS = _all()
"""All features that the model may read; the season's comes last."""
