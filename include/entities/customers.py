"""A registered customer of the shop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow.compute as pc

from include.entities.entity import Entity, Expectation, Resolution, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One registered customer. E-mail and names are personal data and stay in `shop.customers`.

    :param country: ISO 3166-1 alpha-2 code where the shop knows it, else as the shop writes it.
    :param registered_at: when the account was made, UTC.
    :param is_paying: the shop says that they have bought something.
    """

    customer_id: int
    email: str | None
    first_name: str | None
    last_name: str | None
    country: str | None
    registered_at: datetime | None
    is_paying: bool
    source_updated_at: datetime


CUSTOMERS = Entity(
    name="customers",
    record=Customer,
    schema="shop",
    key=("customer_id",),
    event_time="registered_at",
    resolutions={
        "email": Resolution.NEWEST_NON_NULL,
        "country": Resolution.NEWEST_NON_NULL,
        "registered_at": Resolution.KEEP_FIRST,
    },
    rules=(Rule("customer_id_positive", lambda t: pc.greater(t["customer_id"], 0), "customer_id must be positive"),),
    expectations=(
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "customer_id"}),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "registered_at", "mostly": 0.95}, "warning"),
        Expectation("ExpectColumnValuesToMatchRegex", {"column": "email", "regex": "@", "mostly": 0.95}, "warning"),
    ),
)
