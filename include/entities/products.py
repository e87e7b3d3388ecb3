"""A product of the shop's catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc

from include.entities.entity import Entity, Expectation, Resolution, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One product.

    :param price: current price of one unit in `currency`; null when the shop shows none.
    :param categories: names, in the shop's order.
    :param attributes: attribute name to its options.
    """

    product_id: int
    sku: str | None
    name: str
    price: Decimal | None
    currency: str
    categories: tuple[str, ...]
    attributes: dict[str, Any]
    stock_status: str | None
    is_published: bool
    created_at: datetime | None
    source_updated_at: datetime


PRODUCTS = Entity(
    name="products",
    record=Product,
    schema="shop",
    key=("product_id",),
    event_time="created_at",
    look_back=timedelta(hours=1),
    resolutions={"attributes": Resolution.MERGE_JSON, "created_at": Resolution.KEEP_FIRST},
    rules=(
        Rule("product_id_positive", lambda t: pc.greater(t["product_id"], 0), "product_id must be positive"),
        Rule("price_not_negative", lambda t: pc.greater_equal(t["price"], 0), "price must not be negative"),
    ),
    expectations=(
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "product_id"}),
        Expectation(
            "ExpectColumnValueLengthsToBeBetween", {"column": "name", "min_value": 1, "mostly": 0.9}, "warning"
        ),
        Expectation("ExpectColumnValuesToBeBetween", {"column": "price", "min_value": 0}),
    ),
)
