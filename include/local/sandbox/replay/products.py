"""The catalogue of a replayed shop."""

from __future__ import annotations

from include.local.sandbox import wire
from include.local.sandbox.instants import gmt
from include.local.sandbox.shop import Collection
from include.sources.files.online_retail.lines import Lines
from include.sources.files.online_retail.products import CatalogueEntry, catalogue, product_id


def products_collection(lines: Lines) -> Collection:
    """Every product of the file, created and last modified at its first sale."""
    entries = list(catalogue(lines))
    instants = [entry.first_sold for entry in entries]
    return Collection(
        keys=[product_id(entry.sku) for entry in entries],
        created=instants,
        modified=instants,
        items=[_product(entry) for entry in entries],
        statuses=["publish"] * len(entries),
    )


def _product(entry: CatalogueEntry) -> wire.Product:
    price = "" if entry.price is None else wire.money(entry.price)
    return wire.Product(
        id=product_id(entry.sku),
        name=entry.name,
        slug=wire.slug(f"{entry.name} {entry.sku}"),
        date_created=gmt(entry.first_sold),
        date_created_gmt=gmt(entry.first_sold),
        date_modified=gmt(entry.first_sold),
        date_modified_gmt=gmt(entry.first_sold),
        sku=entry.sku,
        price=price,
        regular_price=price,
    )
