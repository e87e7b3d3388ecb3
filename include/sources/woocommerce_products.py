"""The catalogue, from WooCommerce."""

from __future__ import annotations

from datetime import datetime

import msgspec

from include.entities.products import PRODUCTS, Product
from include.sources.parsing import Id, money, required_utc, utc
from include.sources.source import Page
from include.sources.woocommerce import WooCommerceSource


class _Category(msgspec.Struct):
    name: str


class _Attribute(msgspec.Struct):
    name: str
    options: list[str] = []


class WireProduct(msgspec.Struct):
    """The fields of a product that are used."""

    id: Id
    name: str
    date_created_gmt: datetime | None = None
    date_modified_gmt: datetime | None = None
    status: str = "publish"
    sku: str | None = None
    price: str = ""
    stock_status: str | None = None
    categories: list[_Category] = []
    attributes: list[_Attribute] = []


def to_product(wire: WireProduct, currency: str) -> Product:
    """A product from its wire form; an empty price is no price."""
    created_at = utc(wire.date_created_gmt)
    return Product(
        product_id=wire.id,
        sku=wire.sku or None,
        name=wire.name,
        price=money(wire.price) if wire.price else None,
        currency=currency,
        categories=tuple(category.name for category in wire.categories),
        attributes={attribute.name: attribute.options for attribute in wire.attributes},
        stock_status=wire.stock_status,
        is_published=wire.status == "publish",
        created_at=created_at,
        source_updated_at=required_utc(utc(wire.date_modified_gmt) or created_at, "date_modified_gmt"),
    )


class WooCommerceProducts(WooCommerceSource):
    """`/products`, by modification time; prices are in the shop's currency."""

    entity = PRODUCTS
    resource = "products"
    needs_currency = True
    page_decoder = msgspec.json.Decoder(list[WireProduct])
    row_decoder = msgspec.json.Decoder(WireProduct)

    def to_record(self, wire: WireProduct, page: Page) -> Product:
        """A product from its wire form, priced in the shop's currency."""
        return to_product(wire, page.context["currency"])
