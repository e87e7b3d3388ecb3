"""The customers of a replayed shop."""

from __future__ import annotations

from include.local.sandbox import wire
from include.local.sandbox.instants import gmt
from include.local.sandbox.shop import Collection
from include.sources.files.online_retail.customers import CustomerVersion, customer_versions, email_of
from include.sources.files.online_retail.lines import Lines


def customers_collection(lines: Lines) -> Collection:
    """Every customer in every version."""
    versions = list(customer_versions(lines))
    return Collection(
        keys=[version.customer_id for version in versions],
        created=[version.registered for version in versions],
        modified=[version.changed for version in versions],
        items=[_customer(version) for version in versions],
        sort_names=[f"customer-{version.customer_id}" for version in versions],
    )


def _customer(version: CustomerVersion) -> wire.Customer:
    email = email_of(version.customer_id)
    return wire.Customer(
        id=version.customer_id,
        date_created=gmt(version.registered),
        date_created_gmt=gmt(version.registered),
        date_modified=gmt(version.changed),
        date_modified_gmt=gmt(version.changed),
        email=email,
        first_name="",
        last_name="",
        username=f"customer-{version.customer_id}",
        billing=wire.Billing(country=version.country, email=email),
        shipping=wire.Address(country=version.country),
        is_paying_customer=version.is_paying,
    )
