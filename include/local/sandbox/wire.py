"""What WooCommerce puts on the wire: one struct per object of its REST API v3, fields in its own order.

Money is a string, `price` of a line a number. A time and its `_gmt` twin are both kept in UTC; they are moved
apart when they are served by a shop in another time zone. Values a struct gives by default are those of a shop
without taxes, downloads and variations.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec


class Meta(msgspec.Struct, frozen=True):
    """One entry of `meta_data`."""

    id: int
    key: str
    value: Any


class LineMeta(msgspec.Struct, frozen=True):
    """One entry of a line's `meta_data`; WooCommerce adds the two display fields there."""

    id: int
    key: str
    value: Any
    display_key: str
    display_value: Any


class Image(msgspec.Struct, frozen=True):
    """The image of a line's product; a product without one has the id 0 and no source."""

    id: int = 0
    src: str = ""


_NO_IMAGE = Image()


class LineItem(msgspec.Struct, frozen=True):
    """A product line of an order, or with negative quantity and totals of a refund."""

    id: int
    name: str
    product_id: int
    quantity: int
    subtotal: str
    total: str
    sku: str | None
    price: float
    variation_id: int = 0
    tax_class: str = ""
    subtotal_tax: str = "0.00"
    total_tax: str = "0.00"
    taxes: tuple[()] = ()
    meta_data: tuple[LineMeta, ...] = ()
    image: Image = _NO_IMAGE
    parent_name: str | None = None


class ShippingLine(msgspec.Struct, frozen=True):
    """A shipping line: a total without quantity or price."""

    id: int
    method_title: str
    method_id: str
    total: str
    instance_id: str = "1"
    total_tax: str = "0.00"
    taxes: tuple[()] = ()
    tax_status: str = "none"
    meta_data: tuple[LineMeta, ...] = ()


class FeeLine(msgspec.Struct, frozen=True):
    """A fee or a rebate: a total without quantity or price."""

    id: int
    name: str
    total: str
    amount: str
    tax_class: str = ""
    tax_status: str = "none"
    total_tax: str = "0.00"
    taxes: tuple[()] = ()
    meta_data: tuple[LineMeta, ...] = ()


class CouponLine(msgspec.Struct, frozen=True):
    """A coupon used on an order."""

    id: int
    code: str
    discount: str
    discount_tax: str = "0.00"
    meta_data: tuple[LineMeta, ...] = ()


class OrderRefund(msgspec.Struct, frozen=True):
    """A refund as an order lists it: `total` is negative."""

    id: int
    reason: str
    total: str


class Address(msgspec.Struct, frozen=True):
    """A shipping address."""

    country: str
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    address_1: str = ""
    address_2: str = ""
    city: str = ""
    state: str = ""
    postcode: str = ""
    phone: str = ""


class Billing(Address, frozen=True):
    """A billing address: has an e-mail."""

    email: str = ""


class Order(msgspec.Struct, frozen=True):
    """An order in one version."""

    id: int
    number: str
    status: str
    currency: str
    currency_symbol: str
    date_created: str
    date_created_gmt: str
    date_modified: str
    date_modified_gmt: str
    discount_total: str
    shipping_total: str
    total: str
    customer_id: int
    billing: Billing
    shipping: Address
    payment_method: str
    payment_method_title: str
    date_paid: str | None
    date_paid_gmt: str | None
    date_completed: str | None
    date_completed_gmt: str | None
    line_items: tuple[LineItem, ...]
    shipping_lines: tuple[ShippingLine, ...] = ()
    fee_lines: tuple[FeeLine, ...] = ()
    coupon_lines: tuple[CouponLine, ...] = ()
    refunds: tuple[OrderRefund, ...] = ()
    meta_data: tuple[Meta, ...] = ()
    tax_lines: tuple[()] = ()
    parent_id: int = 0
    version: str = "10.3.5"
    prices_include_tax: bool = False
    discount_tax: str = "0.00"
    shipping_tax: str = "0.00"
    cart_tax: str = "0.00"
    total_tax: str = "0.00"
    order_key: str = ""
    transaction_id: str = ""
    customer_ip_address: str = ""
    customer_user_agent: str = ""
    created_via: str = "checkout"
    customer_note: str = ""
    cart_hash: str = ""
    payment_url: str = ""
    is_editable: bool = False
    needs_payment: bool = False
    needs_processing: bool = False


class Refund(msgspec.Struct, frozen=True):
    """A refund in the list of all refunds. `amount` is positive; `parent_id` 0 means that no order is known."""

    id: int
    parent_id: int
    date_created: str
    date_created_gmt: str
    amount: str
    reason: str
    line_items: tuple[LineItem, ...]
    shipping_lines: tuple[ShippingLine, ...] = ()
    tax_lines: tuple[()] = ()
    fee_lines: tuple[FeeLine, ...] = ()
    meta_data: tuple[Meta, ...] = ()
    refunded_by: int = 1
    refunded_payment: bool = True


class Customer(msgspec.Struct, frozen=True):
    """A registered customer."""

    id: int
    date_created: str
    date_created_gmt: str
    date_modified: str | None
    date_modified_gmt: str | None
    email: str
    first_name: str
    last_name: str
    username: str
    billing: Billing
    shipping: Address
    is_paying_customer: bool
    role: str = "customer"
    avatar_url: str = ""
    meta_data: tuple[Meta, ...] = ()


class Category(msgspec.Struct, frozen=True):
    """A category as a product lists it."""

    id: int
    name: str
    slug: str


class Attribute(msgspec.Struct, frozen=True):
    """An attribute of a product with its options."""

    id: int
    name: str
    options: tuple[str, ...]
    slug: str = ""
    position: int = 0
    visible: bool = True
    variation: bool = False


class Product(msgspec.Struct, frozen=True):
    """A product of the catalogue. A product without a price has the price `""`."""

    id: int
    name: str
    slug: str
    date_created: str
    date_created_gmt: str
    date_modified: str
    date_modified_gmt: str
    sku: str
    price: str
    regular_price: str
    categories: tuple[Category, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    sale_price: str = ""
    status: str = "publish"
    stock_status: str = "instock"
    type: str = "simple"
    featured: bool = False
    catalog_visibility: str = "visible"
    description: str = ""
    short_description: str = ""
    on_sale: bool = False
    purchasable: bool = True
    total_sales: int = 0
    virtual: bool = False
    downloadable: bool = False
    tax_status: str = "none"
    tax_class: str = ""
    manage_stock: bool = False
    stock_quantity: int | None = None
    backorders: str = "no"
    weight: str = ""
    parent_id: int = 0
    tags: tuple[()] = ()
    images: tuple[()] = ()
    variations: tuple[()] = ()
    meta_data: tuple[Meta, ...] = ()


CURRENCIES = {
    "EUR": {"code": "EUR", "name": "Euro", "symbol": "&euro;"},
    "GBP": {"code": "GBP", "name": "Pound sterling", "symbol": "&pound;"},
}
CURRENCY_SYMBOLS = {"EUR": "€", "GBP": "£"}


def money(amount: Decimal) -> str:
    """The amount exactly, with two decimals at least: `15.30`, `0.001`."""
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -2:
        return f"{amount:.2f}"
    text = f"{amount:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def cents(amount: int) -> str:
    """An amount of whole cents: 1530 is `15.30`."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"


def line_meta(**values: object) -> tuple[LineMeta, ...]:
    """Meta data of a line, ids counted from one."""
    return tuple(
        LineMeta(id=number, key=key, value=value, display_key=key, display_value=value)
        for number, (key, value) in enumerate(values.items(), start=1)
    )


def slug(name: str) -> str:
    """The name as WordPress would put it into an address."""
    words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
    return "-".join(words)
