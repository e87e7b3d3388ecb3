"""Orders with their lines, from WooCommerce."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from include.entities.entity import INSTANT
from include.entities.orders import ORDERS, Order, OrderLine
from include.sources.columns import (
    Fields,
    amounts,
    currencies,
    derived_amounts,
    instants,
    required_instants,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from include.sources.parsing import Id, currency_code, money, required_utc, rounded_money, utc
from include.sources.source import Page
from include.sources.woocommerce_columns import Arrays, Lines, ParentColumns, product_columns, unit_columns
from include.sources.woocommerce_lines import (
    Kind,
    WireLine,
    WireProductLine,
    WireShippingLine,
)
from include.sources.woocommerce_parents import ParentReader, WooCommerceParents

CANCELLED = frozenset({"cancelled", "failed", "trash"})


class _Billing(msgspec.Struct, gc=False):
    country: str | None = None


class WireOrder(msgspec.Struct, gc=False):
    """The fields of an order that are used; WooCommerce sends many more."""

    id: Id
    number: str
    status: str
    currency: str
    total: str
    date_created_gmt: datetime | None
    date_modified_gmt: datetime | None
    discount_total: str = "0"
    shipping_total: str = "0"
    total_tax: str = "0"
    customer_id: Id = 0
    billing: _Billing = msgspec.field(default_factory=_Billing)
    date_paid_gmt: datetime | None = None
    date_completed_gmt: datetime | None = None


def to_order(wire: Any, lines: Sequence[OrderLine], page: Page) -> Order:
    """An order from its wire form.

    WooCommerce does not say when an order was cancelled: the modification that left it cancelled
    stands for it.
    """
    modified_at = required_utc(wire.date_modified_gmt, "date_modified_gmt")
    return Order(
        order_id=wire.id,
        order_number=wire.number,
        customer_id=wire.customer_id or None,
        status=wire.status,
        currency=currency_code(wire.currency),
        total_amount=money(wire.total),
        discount_amount=money(wire.discount_total),
        shipping_amount=money(wire.shipping_total),
        tax_amount=money(wire.total_tax),
        country=wire.billing.country or None,
        placed_at=required_utc(wire.date_created_gmt, "date_created_gmt"),
        paid_at=utc(wire.date_paid_gmt),
        completed_at=utc(wire.date_completed_gmt),
        cancelled_at=modified_at if wire.status in CANCELLED else None,
        source_updated_at=modified_at,
        lines=tuple(lines),
    )


def to_order_line(wire: WireLine, kind: Kind, order: Any) -> OrderLine:
    """A line of an order from its wire form; shipping and fees count as one unit."""
    total = money(wire.total)
    if isinstance(wire, WireProductLine):
        unit_price = wire.price if wire.price is not None else total / (wire.quantity or 1)
        return OrderLine(
            order_id=order.id,
            line_id=wire.id,
            kind="product",
            product_id=wire.product_id or None,
            sku=wire.sku or None,
            name=wire.name or "",
            quantity=wire.quantity,
            unit_price=rounded_money(Decimal(unit_price)),
            total_amount=total,
        )
    name = wire.method_title if isinstance(wire, WireShippingLine) else wire.name
    return OrderLine(
        order_id=order.id,
        line_id=wire.id,
        kind=kind,
        product_id=None,
        sku=None,
        name=name or "",
        quantity=1,
        unit_price=total,
        total_amount=total,
    )


def order_columns(orders: Fields, pages: Sequence[Page]) -> Arrays:
    """What `to_order` does, for many orders at once."""
    modified_at = required_instants(orders["date_modified_gmt"])
    status = text(orders["status"])
    is_cancelled = pc.is_in(status, pa.array(sorted(CANCELLED)))
    return {
        "order_id": whole(orders["id"]),
        "order_number": text(orders["number"]),
        "customer_id": whole_or_none(orders["customer_id"]),
        "status": status,
        "currency": currencies(orders["currency"]),
        "total_amount": amounts(orders["total"]),
        "discount_amount": amounts(orders["discount_total"]),
        "shipping_amount": amounts(orders["shipping_total"]),
        "tax_amount": amounts(orders["total_tax"]),
        "country": text_or_none([billing.country for billing in orders["billing"]]),
        "placed_at": required_instants(orders["date_created_gmt"]),
        "paid_at": instants(orders["date_paid_gmt"]),
        "completed_at": instants(orders["date_completed_gmt"]),
        "cancelled_at": pc.if_else(is_cancelled, modified_at, pa.scalar(None, INSTANT)),
        "source_updated_at": modified_at,
    }


def order_line_columns(lines: Lines, kind: str) -> Arrays:
    """What `to_order_line` does, for many lines of one kind at once."""
    total = amounts(lines["total"])
    if kind == "product":
        return {**product_columns(lines), "unit_price": derived_amounts(lines["price"]), "total_amount": total}
    return {**unit_columns(lines, kind), "unit_price": total, "total_amount": total}


class WooCommerceOrders(WooCommerceParents):
    """`/orders`, by modification time."""

    entity = ORDERS
    resource = "orders"
    reader = ParentReader(
        entity=ORDERS, row_decoder=msgspec.json.Decoder(WireOrder), to_record=to_order, to_line=to_order_line
    )
    whole_pages = ParentColumns(
        entity=ORDERS,
        wire=WireOrder,
        to_rows=order_columns,
        to_lines=order_line_columns,
    )
