"""The way from a view to an order walked event by event, and random visits to walk it through."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import Connection

from tests.integration.feature_shop import write_load_receipt
from tests.integration.view_rows import PROVENANCE

STEPS = ("Product Viewed", "Product Added", "Checkout Started", "Order Completed")
NAMES = (*STEPS, *STEPS[:3], *STEPS[:2], STEPS[0], "Product Searched")
LONGEST = {"session": timedelta(hours=24), "customer": timedelta(days=7)}
PAUSE, PAUSE_OF_NAMED = timedelta(minutes=30), timedelta(hours=24)


@dataclass(frozen=True)
class Event:
    """One event; who did it may be said by its session, the visitor or the customer, or by nothing."""

    event_id: str
    occurred_at: datetime
    name: str = STEPS[0]
    customer_id: int | None = None
    visitor: str | None = None
    session: str | None = None
    source: str | None = None
    device: str | None = None

    @property
    def properties(self) -> dict[str, Any]:
        context = {
            "sessionId": self.session,
            "campaign": {"source": self.source} if self.source is not None else {},
            "device": {"type": self.device} if self.device is not None else None,
        }
        return {"context": {name: value for name, value in context.items() if value is not None}}


@dataclass(frozen=True)
class Attempt:
    """From one view on: the instants of the steps, as far as it came."""

    reached: tuple[datetime, ...]
    source: str
    device: str

    @property
    def preference(self) -> tuple:
        return -len(self.reached), self.reached[0], self.source, self.device


def load(conn: Connection, events: Sequence[Event]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO shop.events VALUES (%s, %s, %s, %s, NULL, NULL, %s, %s, {PROVENANCE})",
            [
                (e.event_id, e.name, e.customer_id, e.visitor, json.dumps(e.properties), e.occurred_at)
                for e in events
            ],
        )  # fmt: skip
    write_load_receipt(conn, "events", oldest=min(event.occurred_at for event in events), rows=len(events))
    conn.commit()


def plain_funnel(events: Sequence[Event], time_zone: str = "UTC") -> dict[tuple, dict[str, Any]]:
    """The mart's rows by key."""
    zone = ZoneInfo(time_zone)
    groups: dict[tuple, list[Attempt]] = defaultdict(list)
    for kind, day, steps, entries in _units(events, zone):
        for order in ("strict", "loose"):
            attempts = [_attempt(steps, entry, strict=order == "strict", longest=LONGEST[kind]) for entry in entries]
            if attempts:
                best = min(attempts, key=lambda attempt: attempt.preference)
                groups[day, kind, order, best.source, best.device].append(best)
    return {
        (*group, number): _row(attempts, number)
        for group, attempts in groups.items()
        for number in range(1, len(STEPS) + 1)
    }


def _units(events: Sequence[Event], zone: ZoneInfo) -> list[tuple[str, date, list[Event], list[Event]]]:
    """Kind, day, steps in order, and the views that may be entries, of each session and of each customer's days."""
    units = []
    for session in _sessions(events):
        began = session[0].occurred_at
        steps = _steps([event for event in session if event.occurred_at - began <= LONGEST["session"]])
        units.append(("session", began.astimezone(zone).date(), steps, _views(steps)))
    for customer in {event.customer_id for event in events} - {None}:
        steps = _steps([event for event in events if event.customer_id == customer])
        days = defaultdict(list)
        for view in _views(steps):
            days[view.occurred_at.astimezone(zone).date()].append(view)
        units += [("customer", day, steps, views) for day, views in days.items()]
    return units


def _sessions(events: Sequence[Event]) -> list[list[Event]]:
    visits = defaultdict(list)
    for event in events:
        who = (event.session or None, event.visitor or None, event.customer_id, event.event_id)
        place = next(place for place, name in enumerate(who) if name is not None)
        visits[place, who[place]].append(event)
    sessions = []
    for (place, _), visit in visits.items():
        visit.sort(key=lambda event: event.occurred_at)
        for before, event in zip([None, *visit], visit, strict=False):
            pause = PAUSE_OF_NAMED if place == 0 else PAUSE
            if before is None or event.occurred_at - before.occurred_at >= pause:
                sessions.append([])
            sessions[-1].append(event)
    return sessions


def _steps(events: Sequence[Event]) -> list[Event]:
    steps = [event for event in events if event.name in STEPS]
    return sorted(steps, key=lambda event: (event.occurred_at, STEPS.index(event.name)))


def _views(steps: Sequence[Event]) -> list[Event]:
    return [event for event in steps if event.name == STEPS[0]]


def _attempt(steps: Sequence[Event], entry: Event, *, strict: bool, longest: timedelta) -> Attempt:
    reached = [entry.occurred_at]
    for event in steps[steps.index(entry) + 1 :]:
        if len(reached) == len(STEPS) or event.occurred_at - entry.occurred_at > longest:
            break
        if event.name == STEPS[len(reached)]:
            reached.append(event.occurred_at)
        elif strict and event.name != STEPS[len(reached) - 1]:
            break
    return Attempt(tuple(reached), entry.source or "direct", entry.device or "unknown")


def _row(attempts: Sequence[Attempt], number: int) -> dict[str, Any]:
    def came_to(step: int) -> list[tuple[datetime, ...]]:
        return [attempt.reached for attempt in attempts if len(attempt.reached) >= step]

    here = came_to(number)
    before = came_to(number - 1) if number > 1 else []
    has_times = number > 1 and bool(here)
    return {
        "step": STEPS[number - 1],
        "entered_count": len(here),
        "conversion_share": len(here) / len(before) if before else None,
        "drop_off_share": (len(here) - len(came_to(number + 1))) / len(here) if here and number < len(STEPS) else None,
        "overall_conversion_share": len(here) / len(attempts),
        "median_seconds_from_previous": (
            median((each[number - 1] - each[number - 2]).total_seconds() for each in here) if has_times else None
        ),
        "median_seconds_from_first": (
            median((each[number - 1] - each[0]).total_seconds() for each in here) if has_times else None
        ),
    }


def random_events(seed: int, *, start: datetime, days: int, count: int, prefix: str = "e") -> list[Event]:
    """Visits of few people, many at midnight, at one instant with another, or exactly a pause or a limit apart."""
    rng = random.Random(seed)
    steps_apart = (
        0,
        0,
        1,
        7,
        60,
        90,
        600,
        1200,
        1799.999999,
        1800,
        7200,
        40_000,
        86_400,
        86_400.000001,
        604_800,
        604_800.000001,
    )
    events: list[Event] = []
    while len(events) < count:
        at = start + timedelta(seconds=rng.randrange(days * 86_400))
        if rng.random() < 0.3:
            at = start + timedelta(days=rng.randrange(days), seconds=rng.choice((-600, -1, 0, 1)))
        customer = rng.choice((None, 1, 2, 3, 4))
        visitor = rng.choice((None, "", "a", "b", "c"))
        session = rng.choice((None, None, "", "one", "two", f"s{len(events)}"))
        source, device = rng.choice((None, "", "mail")), rng.choice((None, "", "mobile"))
        name = rng.choice(NAMES)
        for _ in range(rng.randrange(1, 9)):
            events.append(
                Event(
                    f"{prefix}{len(events)}", at, name, customer if rng.random() < 0.8 else None, visitor,
                    session, source, device if rng.random() < 0.8 else "tablet",
                )
            )  # fmt: skip
            at += timedelta(seconds=rng.choice(steps_apart))
            goes_on = name in STEPS[:3] and rng.random() < 0.5
            name = STEPS[STEPS.index(name) + 1] if goes_on else rng.choice(NAMES)
    return events
