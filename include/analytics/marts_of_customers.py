"""Marts of customers: whether they come back, which segments they are in, what they are worth."""

from __future__ import annotations

from include.analytics.mart import ByCustomer, ByMonth, Mart

MARTS_OF_CUSTOMERS = (
    Mart(
        name="customer_histories",
        key=("customer_id", "currency"),
        inputs=("shop.orders", "shop.refunds"),
        kept_up=ByCustomer("customer_id"),
    ),
    Mart(
        name="customer_lifetime",
        key=("customer_id", "currency"),
        inputs=("analytics.customer_histories", "ml.lifetime_models", "ml.lifetime_values"),
        kept_up=ByCustomer("customer_id"),
    ),
    Mart(
        name="repeat_rates",
        key=("cohort_month", "currency"),
        inputs=("analytics.customer_lifetime",),
    ),
    Mart(
        name="cohort_months",
        key=("cohort_month", "currency", "month_on"),
        inputs=("analytics.customer_histories",),
        kept_up=ByMonth("month_on"),
    ),
    Mart(
        name="cohort_retention",
        key=("cohort_month", "currency", "months_since"),
        inputs=("analytics.cohort_months",),
    ),
    Mart(
        name="rfm_customers",
        key=("customer_id", "currency"),
        inputs=("analytics.customer_histories",),
    ),
    Mart(
        name="rfm_movements",
        key=("month_on", "currency", "from_segment", "to_segment"),
        inputs=("analytics.customer_histories",),
        kept_up=ByMonth("month_on"),
    ),
    Mart(
        name="rfm_segments",
        key=("month_on", "currency", "segment"),
        inputs=("analytics.rfm_customers", "analytics.rfm_movements"),
    ),
)
