"""What customers did on a site computed the plain way, and sites with visits to compute it from."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from tests.integration.view_rows import PROVENANCE

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
VIEW, ADD, CHECKOUT, ORDER = "Product Viewed", "Product Added", "Checkout Started", "Order Completed"
NAMES = (VIEW, VIEW, VIEW, ADD, ADD, CHECKOUT, ORDER, "Product Searched")


@dataclass(frozen=True)
class Event:
    """One event; without a customer it is an anonymous visitor's."""

    occurred_at: datetime
    name: str = VIEW
    customer_id: int | None = 1
    product_id: int | None = None


def load(conn: Connection, events: Iterable[Event], *, prefix: str = "e") -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO shop.events VALUES (%s, %s, %s, 'visitor', %s, NULL, '{{}}', %s, {PROVENANCE})",
            [
                (f"{prefix}-{number}", event.name, event.customer_id, event.product_id, event.occurred_at)
                for number, event in enumerate(events)
            ],
        )


def plain_engagement(events: Sequence[Event], customer: int, snapshot: datetime) -> dict[str, Any] | None:
    """Every feature of one customer at one snapshot, or None if they were never there before it."""
    seen = [event for event in events if event.customer_id == customer and event.occurred_at < snapshot]
    if not seen:
        return None
    seen.sort(key=lambda event: event.occurred_at)
    sessions = split(seen)
    row: dict[str, Any] = {
        "days_since_last_visit": (snapshot - seen[-1].occurred_at) / DAY,
        "distinct_viewed_product_count_30d": len(
            {e.product_id for e in seen if e.name == VIEW and e.occurred_at >= snapshot - 30 * DAY} - {None}
        ),
    }
    for width in (7, 30, 90):
        inside = [event.name for event in seen if event.occurred_at >= snapshot - width * DAY]
        row |= {f"product_viewed_count_{width}d": inside.count(VIEW)}
        row |= {f"product_added_count_{width}d": inside.count(ADD)}
        row |= {f"checkout_started_count_{width}d": inside.count(CHECKOUT)}
        row |= {f"order_completed_count_{width}d": inside.count(ORDER)}
    for width in (30, 90):
        begun = [session for session in sessions if session[0].occurred_at >= snapshot - width * DAY]
        carts = [session for session in begun if any(event.name in (ADD, CHECKOUT) for event in session)]
        abandoned = [session for session in carts if is_abandoned(session)]
        converted = [session for session in begun if any(event.name == ORDER for event in session)]
        row |= {f"session_count_{width}d": len(begun)}
        row |= {f"cart_abandonment_share_{width}d": len(abandoned) / len(carts) if carts else None}
        row |= {f"session_conversion_share_{width}d": len(converted) / len(begun) if begun else None}
    return row


def split(events: Sequence[Event]) -> list[list[Event]]:
    """The sessions of one customer's events in order."""
    sessions: list[list[Event]] = []
    for event in events:
        if not sessions or event.occurred_at - sessions[-1][-1].occurred_at >= 30 * MINUTE:
            sessions.append([])
        sessions[-1].append(event)
    return sessions


def is_abandoned(session: Sequence[Event]) -> bool:
    cart_at = min(event.occurred_at for event in session if event.name in (ADD, CHECKOUT))
    return not any(event.name == ORDER and event.occurred_at >= cart_at for event in session)


def random_events(rng: random.Random, *, start: datetime, days: int, visits: int, customers: int = 4) -> list[Event]:
    """Visits over some days, many of them around midnight, at a window's edge, or half an hour after one another."""
    instants = [start + MICROSECOND * rng.randrange(days * 86_400_000_000) for _ in range(visits)]
    instants += [start + DAY * rng.randrange(days) for _ in range(visits // 3)]
    instants += [start + DAY * rng.randrange(days) - MINUTE * rng.randrange(40) for _ in range(visits // 3)]
    instants += [rng.choice(instants) + DAY * rng.choice((7, 30, 90)) for _ in range(visits // 3)]
    pauses = (*[MINUTE] * 4, 12 * MINUTE, MICROSECOND * 0, 30 * MINUTE - MICROSECOND, 30 * MINUTE, 45 * MINUTE)
    events = []
    for instant in instants:
        customer = rng.choice([None, *range(1, customers + 1)])
        for _ in range(rng.randrange(1, 7)):
            events.append(Event(instant, rng.choice(NAMES), customer, rng.choice([None, 1, 2, 3, 4])))
            instant += rng.choice(pauses)
    return events
