"""Something a visitor did on the shop's site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from include.entities.entity import Entity, Expectation, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event in the Segment e-commerce vocabulary.

    :param event_id: the source's message id.
    :param customer_id: null while the visitor is not logged in.
    :param properties: what else the event says, with its context (page, campaign, device, session).
    :param occurred_at: on the visitor's side, UTC.
    """

    event_id: str
    event_name: str
    customer_id: int | None
    anonymous_id: str | None
    product_id: int | None
    order_id: int | None
    properties: dict[str, Any]
    occurred_at: datetime
    source_updated_at: datetime


EVENTS = Entity(
    name="events",
    record=Event,
    schema="shop",
    key=("event_id",),
    event_time="occurred_at",
    look_back=timedelta(hours=1),
    rules=(
        Rule(
            "event_id_length",
            lambda t: pc.and_(
                pc.greater(pc.binary_length(t["event_id"]), 0), pc.less_equal(pc.binary_length(t["event_id"]), 255)
            ),
            "messageId must have 1 to 255 bytes",
        ),
    ),
    expectations=(
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "event_id"}),
        Expectation("ExpectColumnValuesToNotBeNull", {"column": "occurred_at"}),
        Expectation("ExpectColumnValueLengthsToBeBetween", {"column": "event_name", "min_value": 1}, "warning"),
    ),
)
