"""What is done in the shop: the way from a view to an order, what is bought together, how each product does."""

from __future__ import annotations

from include.analytics.mart import ByDay, Mart

MARTS_OF_BEHAVIOUR = (
    Mart(
        name="funnel_daily",
        key=("day_on", "funnel_kind", "order_kind", "source", "device", "step_number"),
        inputs=("shop.events",),
        kept_up=ByDay("day_on", looks_back_days=1, looks_ahead_days=7),
    ),
    Mart(
        name="baskets_daily",
        key=("sold_on", "order_id"),
        inputs=("shop.orders", "shop.order_lines"),
        kept_up=ByDay("sold_on"),
    ),
    Mart(
        name="market_basket",
        key=("antecedent", "consequent"),
        inputs=("analytics.baskets_daily",),
    ),
    Mart(
        name="product_sales_daily",
        key=("sold_on", "product_id", "currency"),
        inputs=("shop.orders", "shop.order_lines", "shop.refunds", "shop.refund_lines"),
        kept_up=ByDay("sold_on"),
    ),
    Mart(
        name="product_performance",
        key=("product_id", "currency"),
        inputs=("analytics.product_sales_daily", "shop.products"),
    ),
)
