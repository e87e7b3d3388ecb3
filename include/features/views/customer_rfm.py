"""Recency, frequency and monetary value of customers, and their segments."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureView

_SCORE = "score 1 to 5, 5 is best"
_MONEY = "currency of the shop"


CUSTOMER_RFM = FeatureView(
    name="customer_rfm",
    entity=CUSTOMER,
    features=(
        Feature("recency_days", "number", "days", "time since the last purchase"),
        Feature("frequency", "integer", "orders", "paid orders ever"),
        Feature("monetary_amount", "money", _MONEY, "paid ever, less refunds"),
        Feature("recency_score", "integer", _SCORE, "fifth of all customers by last purchase"),
        Feature("frequency_score", "integer", _SCORE, "fifth of all customers by frequency"),
        Feature("monetary_score", "integer", _SCORE, "fifth of all customers by monetary amount"),
        Feature("segment", "text", "name", "what the recency and frequency scores say together"),
    ),
    reads=("shop.orders", "shop.refunds"),
    description="How recently, how often and for how much customers bought, and how that compares with the others.",
    owner="growth",
    tags=("churn", "segments"),
    is_ranked=True,
    ttl=timedelta(days=7),
    expectations=(
        FeatureExpectation(rows_at_least=1, rows_change_at_most=0.2),
        FeatureExpectation(feature="recency_days", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="frequency", at_least=1, null_share_at_most=0),
        FeatureExpectation(feature="recency_score", at_least=1, at_most=5, null_share_at_most=0),
        FeatureExpectation(feature="segment", null_share_at_most=0),
    ),
)
