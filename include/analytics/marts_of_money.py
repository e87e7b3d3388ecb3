"""Marts of money: revenue day by day, what orders are worth, and what revenue goes along with."""

from __future__ import annotations

from include.analytics.mart import ByDay, Mart

MARTS_OF_MONEY = (
    Mart(
        name="revenue_daily",
        key=("currency", "sold_on"),
        inputs=("analytics.sales_daily",),
    ),
    Mart(
        name="order_values_daily",
        key=("sold_on", "currency", "scope", "scope_value"),
        inputs=("shop.orders", "shop.order_lines", "shop.product_versions"),
        kept_up=ByDay("sold_on"),
    ),
    Mart(
        name="order_value_statistics",
        key=("scope", "scope_value", "currency"),
        inputs=("analytics.order_value_counts", "analytics.order_kinds"),
        kept_by=dict.fromkeys(("analytics.order_value_counts", "analytics.order_kinds"), "order_values_daily"),
    ),
    Mart(
        name="correlations",
        key=("currency", "left_measure", "right_measure", "lag_days"),
        inputs=("analytics.revenue_daily", "signals.weather_daily", "signals.stock_prices_daily"),
    ),
)
