"""Records of the platform from what an export says: the same as WooCommerce's API gives for its replay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from include.entities.customers import Customer
from include.entities.orders import Order, OrderLine
from include.entities.products import Product
from include.entities.refunds import Refund, RefundLine
from include.sources.files.online_retail.customers import CustomerVersion, email_of
from include.sources.files.online_retail.invoices import CURRENCY, InvoiceLine, Invoices
from include.sources.files.online_retail.products import CatalogueEntry, product_id
from include.sources.parsing import RowRejected, money, rounded_money

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_PIECES = 2**31
"""What WooCommerce counts pieces by."""


def instant_of(seconds: int) -> datetime:
    """The instant so many seconds after 1970 began, UTC."""
    return _EPOCH + timedelta(seconds=int(seconds))


def customer_of(version: CustomerVersion) -> Customer:
    """A customer in one version. The export knows no names."""
    return Customer(
        customer_id=version.customer_id,
        email=email_of(version.customer_id),
        first_name=None,
        last_name=None,
        country=version.country or None,
        registered_at=instant_of(version.registered),
        is_paying=version.is_paying,
        source_updated_at=instant_of(version.changed),
    )


def product_of(entry: CatalogueEntry) -> Product:
    """A product, changed last when it was first sold.

    :raises RowRejected: the price does not fit.
    """
    return Product(
        product_id=product_id(entry.sku),
        sku=entry.sku,
        name=entry.name,
        price=None if entry.price is None else money(entry.price),
        currency=CURRENCY,
        categories=(),
        attributes={},
        stock_status="instock",
        is_published=True,
        created_at=instant_of(entry.first_sold),
        source_updated_at=instant_of(entry.first_sold),
    )


def order_of(invoices: Invoices, position: int, lines: Sequence[OrderLine]) -> Order:
    """An order: paid and completed when it was placed.

    :raises RowRejected: a sum does not fit.
    """
    at = instant_of(invoices.instants[position])
    return Order(
        order_id=int(invoices.record_ids[position]),
        order_number=invoices.number(position),
        customer_id=invoices.customer(position) or None,
        status="completed",
        currency=CURRENCY,
        total_amount=money(invoices.total(position)),
        discount_amount=money("0"),
        shipping_amount=money(invoices.total(position, kind="shipping")),
        tax_amount=money("0"),
        country=invoices.country(position) or None,
        placed_at=at,
        paid_at=at,
        completed_at=at,
        cancelled_at=None,
        source_updated_at=at,
        lines=tuple(lines),
    )


def refund_of(invoices: Invoices, position: int, lines: Sequence[RefundLine]) -> Refund:
    """A refund: the export does not say of which order.

    :raises RowRejected: the sum does not fit.
    """
    at = instant_of(invoices.instants[position])
    return Refund(
        refund_id=int(invoices.record_ids[position]),
        order_id=None,
        customer_id=invoices.customer(position) or None,
        refund_amount=money(-invoices.total(position)),
        currency=CURRENCY,
        reason=None,
        refunded_at=at,
        source_updated_at=at,
        lines=tuple(lines),
    )


def order_line_of(line: InvoiceLine, order_id: int) -> OrderLine:
    """A line of an order; shipping and fees count as one unit.

    :raises RowRejected: an amount or the quantity does not fit.
    """
    total = money(line.total)
    is_product = line.kind == "product"
    return OrderLine(
        order_id=order_id,
        line_id=line.line_id,
        kind=line.kind,
        product_id=product_id(line.sku) if is_product else None,
        sku=line.sku if is_product else None,
        name=line.name,
        quantity=_pieces(line) if is_product else 1,
        unit_price=rounded_money(line.price) if is_product else total,
        total_amount=total,
    )


def refund_line_of(line: InvoiceLine, refund_id: int) -> RefundLine:
    """A line given back; quantities and sums turn positive.

    :raises RowRejected: an amount or the quantity does not fit.
    """
    is_product = line.kind == "product"
    return RefundLine(
        refund_id=refund_id,
        line_id=line.line_id,
        kind=line.kind,
        product_id=product_id(line.sku) if is_product else None,
        sku=line.sku if is_product else None,
        name=line.name,
        quantity=-_pieces(line) if is_product else 1,
        total_amount=-money(line.total),
    )


def _pieces(line: InvoiceLine) -> int:
    if abs(line.quantity) > _MOST_PIECES:
        raise RowRejected("quantity", f"the quantity {line.quantity} is more than {_MOST_PIECES:,} pieces")
    return line.quantity
