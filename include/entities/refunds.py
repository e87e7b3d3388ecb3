"""Money given back, with the lines it was given back for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pyarrow.compute as pc

from include.entities.entity import Entity, Expectation, Rule
from include.entities.orders import LineKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundLine:
    """One line given back; `quantity` and `total_amount` are positive."""

    refund_id: int
    line_id: int
    kind: LineKind
    product_id: int | None
    sku: str | None
    name: str
    quantity: int
    total_amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund; `refund_amount` is positive.

    :param order_id: null when the shop knows no order for it.
    :param customer_id: set when the refund itself names a customer; else the order's counts.
    :param refunded_at: UTC.
    """

    refund_id: int
    order_id: int | None
    customer_id: int | None
    refund_amount: Decimal
    currency: str
    reason: str | None
    refunded_at: datetime
    source_updated_at: datetime
    lines: tuple[RefundLine, ...]


REFUND_LINES = Entity(
    name="refund_lines",
    record=RefundLine,
    schema="shop",
    key=("refund_id", "line_id"),
    rules=(
        Rule("quantity_not_negative", lambda t: pc.greater_equal(t["quantity"], 0), "quantity must not be positive"),
    ),
    expectations=(Expectation("ExpectColumnValuesToNotBeNull", {"column": "refund_id"}),),
)

REFUNDS = Entity(
    name="refunds",
    record=Refund,
    schema="shop",
    key=("refund_id",),
    event_time="refunded_at",
    look_back=timedelta(hours=1),
    child=REFUND_LINES,
    child_field="lines",
    rules=(
        Rule("amount_not_negative", lambda t: pc.greater_equal(t["refund_amount"], 0), "amount must not be negative"),
    ),
    expectations=(
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "refunded_at"}),
        Expectation("ExpectColumnValuesToBeBetween", {"column": "refund_amount", "min_value": 0}),
    ),
)
