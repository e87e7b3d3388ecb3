"""What people do on the web site: sessions around orders, sessions without one, and silence before a drop-out.

Events follow Segment's e-commerce vocabulary. A new customer is anonymous until the first checkout;
the same `anonymousId` leads on. Most events are received within seconds, some hours later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from include.local.sandbox.instants import DAY, gmt
from include.local.sandbox.shop import EventStream
from include.local.sandbox.simulator.catalogue import Catalogue, CatalogueProduct
from include.local.sandbox.simulator.orders import DraftOrder
from include.local.sandbox.simulator.people import Person
from include.local.sandbox.simulator.population import CustomerTruth, Season

VISITS_PER_ORDER = 1.2
_VIEWED_SHARE = 0.6
FADING_DAYS = 10.0
QUIET_BEFORE_DROPOUT = 30 * DAY
QUIET_SHARE = 0.4
_CAMPAIGNS = (None, None, None, None, "newsletter", "google", "instagram")
_DEVICES = ("mobile", "mobile", "desktop", "tablet")
_encode = msgspec.json.Encoder().encode


@dataclass
class _Recorder:
    """Collects events with their ids and the time they were received."""

    random: np.random.Generator
    end: int
    received: list[int] = field(default_factory=list)
    message_ids: list[str] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def session(self, person: Person) -> _Session:
        random = self.random
        return _Session(
            recorder=self,
            anonymous_id=person.anonymous_id,
            session_id=random.bytes(8).hex(),
            device=_DEVICES[random.integers(len(_DEVICES))],
            campaign=_CAMPAIGNS[random.integers(len(_CAMPAIGNS))],
            delay_seconds=int(random.integers(600, 40_000)) if random.random() < 0.02 else 0,
        )


@dataclass
class _Session:
    """One visit: what all of its events have in common."""

    recorder: _Recorder
    anonymous_id: str
    session_id: str
    device: str
    campaign: str | None
    delay_seconds: int

    def record(self, name: str, *, at: int, customer_id: int, path: str, properties: dict[str, Any]) -> None:
        """Record one event that happened at `at`; `customer_id` 0 is somebody not logged in."""
        recorder = self.recorder
        received = at * 1_000 + self.delay_seconds * 1_000 + int(recorder.random.integers(40, 4_000))
        if received >= recorder.end * 1_000:
            return
        message_id = recorder.random.bytes(16).hex()
        sent = _milliseconds(received - 25)
        happened = _milliseconds(at * 1_000)
        event = {
            "type": "track",
            "event": name,
            "messageId": message_id,
            "userId": str(customer_id) if customer_id else None,
            "anonymousId": self.anonymous_id,
            "timestamp": happened,
            "originalTimestamp": happened,
            "sentAt": sent,
            "receivedAt": _milliseconds(received),
            "context": {
                "page": {"path": path},
                "campaign": {"source": self.campaign} if self.campaign else {},
                "device": {"type": self.device},
                "sessionId": self.session_id,
            },
            "properties": properties,
        }
        recorder.received.append(received)
        recorder.message_ids.append(message_id)
        recorder.lines.append(_encode(event))


def browse(
    *,
    people: Sequence[Person],
    truths: Sequence[CustomerTruth],
    drafts: Sequence[DraftOrder],
    catalogue: Catalogue,
    season: Season,
    random: np.random.Generator,
) -> EventStream:
    """All events received before the end of the season's range."""
    recorder = _Recorder(random=random, end=season.end)
    joined_at = {truth.customer_id: truth.joined_at for truth in truths}
    for draft in drafts:
        is_first = draft.paid_at is not None and draft.paid_at == joined_at.get(draft.person.customer_id)
        _order_session(recorder.session(draft.person), draft, catalogue, random, is_first=is_first)
    for person, truth in zip(people, truths, strict=True):
        for visited_at in _visits(truth, season=season, random=random):
            _visit(recorder.session(person), person, catalogue, random, visited_at, customer_id=person.customer_id)
        if random.random() < 0.5:
            before = truth.joined_at - int(random.uniform(0.1, 4) * DAY)
            if before > season.start:
                _visit(recorder.session(person), person, catalogue, random, before, customer_id=0)
    return EventStream(received=recorder.received, message_ids=recorder.message_ids, lines=recorder.lines)


def _visits(truth: CustomerTruth, *, season: Season, random: np.random.Generator) -> Iterator[int]:
    """Instants of visits without an order: rarer before a drop-out, dying away after it."""
    first = float(season.operational_days(float(truth.joined_at)))
    last = float(season.operational_days(float(truth.dropped_out_at or season.end)))
    rate = truth.rate_per_day * VISITS_PER_ORDER
    for operational in random.uniform(first, last, int(random.poisson(rate * (last - first)))):
        instant = int(season.instants(float(operational)))
        is_quiet = truth.dropped_out_at is not None and truth.dropped_out_at - instant < QUIET_BEFORE_DROPOUT
        if not is_quiet or random.random() < QUIET_SHARE:
            yield instant
    if truth.dropped_out_at is not None:
        for days in random.exponential(FADING_DAYS, int(random.poisson(rate * FADING_DAYS))):
            yield truth.dropped_out_at + int(days * DAY)


def _visit(
    session: _Session,
    person: Person,
    catalogue: Catalogue,
    random: np.random.Generator,
    at: int,
    *,
    customer_id: int,
) -> None:
    for _ in range(int(random.geometric(0.4))):
        product = catalogue.draw_product(person.liking, random)
        _product_event(session, "Product Viewed", product, at=at, customer_id=customer_id)
        at += int(random.integers(8, 120))
        if random.random() < 0.12:
            _product_event(session, "Product Added", product, at=at, customer_id=customer_id)


def _order_session(
    session: _Session, draft: DraftOrder, catalogue: Catalogue, random: np.random.Generator, *, is_first: bool
) -> None:
    customer_id = 0 if is_first else draft.person.customer_id
    at = draft.created_at - int(random.integers(120, 2_400))
    seen = [line.product for line in draft.lines if random.random() < _VIEWED_SHARE]
    if random.random() < 0.6:
        seen.insert(0, catalogue.draw_product(draft.person.liking, random))
    step = max(1, (draft.created_at - at) // (len(seen) + len(draft.lines) + 1))
    for product in seen:
        _product_event(session, "Product Viewed", product, at=at, customer_id=customer_id)
        at += step
    for line in draft.lines:
        _product_event(session, "Product Added", line.product, at=at, customer_id=customer_id, quantity=line.quantity)
        at += step
    checkout = _order_properties(draft)
    session.record("Checkout Started", at=at, customer_id=customer_id, path="/checkout", properties=checkout)
    if draft.paid_at is not None:
        session.record(
            "Order Completed",
            at=draft.paid_at,
            customer_id=draft.person.customer_id,
            path="/checkout/order-received",
            properties=checkout,
        )


def _product_event(
    session: _Session, name: str, product: CatalogueProduct, *, at: int, customer_id: int, quantity: int | None = None
) -> None:
    properties: dict[str, Any] = {
        "product_id": str(product.product_id),
        "sku": product.sku,
        "name": product.name,
        "price": product.price_at(at) / 100,
        "currency": "EUR",
    }
    if quantity is not None:
        properties["quantity"] = quantity
    session.record(name, at=at, customer_id=customer_id, path=f"/product/{product.sku.lower()}", properties=properties)


def _order_properties(draft: DraftOrder) -> dict[str, Any]:
    return {
        "order_id": str(draft.order_id),
        "currency": "EUR",
        "products": [
            {
                "product_id": str(line.product.product_id),
                "sku": line.product.sku,
                "name": line.product.name,
                "price": line.price_cents / 100,
                "quantity": line.quantity,
            }
            for line in draft.lines
        ],
    }


def _milliseconds(instant: int) -> str:
    return f"{gmt(instant // 1_000)}.{instant % 1_000:03d}Z"
