"""An order and its lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import pyarrow.compute as pc

from include.entities.entity import Entity, Expectation, RejectionLimit, Rule

LineKind = Literal["product", "shipping", "fee"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One line of an order: a product, a shipping cost or a fee. Amounts in the order's currency.

    :param product_id: null on shipping and fee lines, and on products the shop has deleted.
    :param total_amount: after discounts, without tax.
    """

    order_id: int
    line_id: int
    kind: LineKind
    product_id: int | None
    sku: str | None
    name: str
    quantity: int
    unit_price: Decimal
    total_amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order in one version.

    :param customer_id: null for a guest.
    :param status: of this version; never a feature, because it knows the future.
    :param placed_at: the order was created; `paid_at`, `completed_at` and `cancelled_at` are the
        instants of its later transitions, null while they have not happened. All UTC.
    """

    order_id: int
    order_number: str
    customer_id: int | None
    status: str
    currency: str
    total_amount: Decimal
    discount_amount: Decimal
    shipping_amount: Decimal
    tax_amount: Decimal
    country: str | None
    placed_at: datetime
    paid_at: datetime | None
    completed_at: datetime | None
    cancelled_at: datetime | None
    source_updated_at: datetime
    lines: tuple[OrderLine, ...]


ORDER_LINES = Entity(
    name="order_lines",
    record=OrderLine,
    schema="shop",
    key=("order_id", "line_id"),
    rules=(
        Rule("quantity_positive", lambda t: pc.greater_equal(t["quantity"], 1), "quantity must be at least 1"),
        Rule(
            "product_price_not_negative",
            lambda t: pc.or_(pc.not_equal(t["kind"], "product"), pc.greater_equal(t["unit_price"], 0)),
            "unit_price of a product must not be negative",
        ),
    ),
    expectations=(
        Expectation("ExpectColumnValuesToBeBetween", {"column": "quantity", "min_value": 1}),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "order_id"}),
        Expectation("ExpectColumnValuesToBeInSet", {"column": "kind", "value_set": ["product", "shipping", "fee"]}),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "sku", "mostly": 0.5}, "warning"),
    ),
)

ORDERS = Entity(
    name="orders",
    record=Order,
    schema="shop",
    key=("order_id",),
    event_time="placed_at",
    look_back=timedelta(hours=1),
    # An export that books stock corrections as orders has days on which two in five are no order at all.
    rejection_limit=RejectionLimit(share=0.5),
    child=ORDER_LINES,
    child_field="lines",
    rules=(
        Rule("total_not_negative", lambda t: pc.greater_equal(t["total_amount"], 0), "total must not be negative"),
        Rule(
            "paid_after_placed",
            lambda t: pc.greater_equal(t["paid_at"], t["placed_at"]),
            "date_paid must not be before date_created",
        ),
    ),
    expectations=(
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "order_id"}),
        Expectation("ExpectColumnValuesToBeBetween", {"column": "total_amount", "min_value": 0}),
        Expectation("ExpectColumnValueLengthsToEqual", {"column": "currency", "value": 3}),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "customer_id", "mostly": 0.2}, "warning"),
    ),
)
