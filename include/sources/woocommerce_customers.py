"""Customers, from WooCommerce, which cannot list them by modification time: the list comes whole."""

from __future__ import annotations

from datetime import datetime

import msgspec

from include.entities.customers import CUSTOMERS, Customer
from include.sources.parsing import Id, required_utc, utc
from include.sources.source import Page
from include.sources.woocommerce import WooCommerceSource


class _Billing(msgspec.Struct):
    country: str | None = None


class WireCustomer(msgspec.Struct):
    """The fields of a customer that are used."""

    id: Id
    date_created_gmt: datetime | None
    date_modified_gmt: datetime | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    is_paying_customer: bool = False
    billing: _Billing = msgspec.field(default_factory=_Billing)


def to_customer(wire: WireCustomer) -> Customer:
    """A customer from its wire form; one that was never modified has its registration as version."""
    registered_at = utc(wire.date_created_gmt)
    return Customer(
        customer_id=wire.id,
        email=wire.email or None,
        first_name=wire.first_name or None,
        last_name=wire.last_name or None,
        country=wire.billing.country or None,
        registered_at=registered_at,
        is_paying=wire.is_paying_customer,
        source_updated_at=required_utc(utc(wire.date_modified_gmt) or registered_at, "date_created_gmt"),
    )


class WooCommerceCustomers(WooCommerceSource):
    """`/customers`, whole."""

    entity = CUSTOMERS
    resource = "customers"
    is_filtered = False
    page_decoder = msgspec.json.Decoder(list[WireCustomer])
    row_decoder = msgspec.json.Decoder(WireCustomer)

    def to_record(self, wire: WireCustomer, page: Page) -> Customer:
        """A customer from its wire form."""
        return to_customer(wire)
