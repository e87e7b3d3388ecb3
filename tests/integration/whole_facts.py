"""Facts of every kind that feature views read, drawn at random so that each feature takes several values."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from psycopg import Connection

from tests.integration.feature_shop import DAY
from tests.integration.golden import put_rows

CUSTOMERS = (1, 2, 3, 4, 5, 6)
PRODUCTS = tuple(range(1, 13))
CATEGORIES = ("cups", "lamps", "tea", "toys", "bags", "cards", "candles", "clocks", "plates")
_STEPS = ("Product Viewed", "Product Added", "Checkout Started", "Order Completed")


@dataclass(frozen=True)
class Fact:
    """What came in together, by table; `instant` is when it happened."""

    instant: datetime
    rows: tuple[tuple[str, dict[str, Any]], ...] = field(hash=False)


def whole_facts(seed: int, *, start: datetime, days: int) -> list[Fact]:
    """Facts of all kinds over some days, oldest first; some at midnight, some exactly a window apart."""
    random_ = random.Random(seed)
    instants = [start + timedelta(microseconds=random_.randrange(days * 86_400_000_000)) for _ in range(days * 2)]
    instants += [start + DAY * random_.randrange(days) for _ in range(days // 3)]
    instants += [random_.choice(instants) + DAY * random_.choice((7, 30, 90)) for _ in range(days // 3)]
    instants = sorted(instant for instant in instants if instant < start + DAY * days)
    facts = [
        *_products(random_, start, days),
        *_signals(random_, start, days),
        *(fact for number, instant in enumerate(instants, 1) for fact in _of_customers(random_, number, instant)),
    ]
    return sorted(facts, key=lambda fact: fact.instant)


def put(conn: Connection, facts: Iterable[Fact]) -> None:
    """Put facts in, a statement per table, and commit."""
    by_table: dict[tuple[str, tuple[str, ...]], list[dict[str, Any]]] = {}
    for fact in facts:
        for table, row in fact.rows:
            by_table.setdefault((table, tuple(row)), []).append(row)
    for table, names in by_table:
        put_rows(conn, table, by_table[table, names])
    conn.commit()


def _of_customers(random_: random.Random, number: int, instant: datetime) -> Iterator[Fact]:
    customer = random_.choice(CUSTOMERS)
    kind = random_.random()
    if kind < 0.5:
        yield _order(random_, number, customer, instant)
        if random_.random() < 0.4:
            yield _refund(random_, number, customer, instant + DAY * random_.uniform(0, 20))
    else:
        yield _visit(random_, number, customer, instant)


def _liked_by(customer: int) -> tuple[int, ...]:
    return PRODUCTS[: 2 * customer]


def _order(random_: random.Random, number: int, customer: int, instant: datetime) -> Fact:
    lines = []
    for line in range(1, random_.randrange(2, 5)):
        quantity, price = random_.randrange(1, 4), Decimal(random_.randrange(100, 9_999)) / 100
        lines.append(
            {"order_id": number, "line_id": line, "kind": "product", "product_id": random_.choice(_liked_by(customer)),
             "quantity": quantity, "unit_price": price, "total_amount": price * quantity}
        )  # fmt: skip
    amount = sum(line["total_amount"] for line in lines)
    order = {
        "order_id": number, "customer_id": customer, "placed_at": instant, "paid_at": instant, "total_amount": amount,
        "discount_amount": random_.choice([Decimal(0), amount / 10]), "country": random_.choice(["DE", "GB", "FR"]),
    }  # fmt: skip
    return Fact(instant, (("orders", order), *(("order_lines", line) for line in lines)))


def _refund(random_: random.Random, number: int, customer: int, instant: datetime) -> Fact:
    amount = Decimal(random_.randrange(100, 5_000)) / 100
    refund = {
        "refund_id": number, "order_id": number, "customer_id": customer, "refund_amount": amount,
        "refunded_at": instant,
    }  # fmt: skip
    line = {
        "refund_id": number, "line_id": 1, "kind": "product", "product_id": random_.choice(PRODUCTS),
        "quantity": random_.randrange(1, 3), "total_amount": amount,
    }  # fmt: skip
    return Fact(instant, (("refunds", refund), ("refund_lines", line)))


def _visit(random_: random.Random, number: int, customer: int, instant: datetime) -> Fact:
    events = [
        {"event_id": f"{number}-{step}", "event_name": name, "customer_id": customer,
         "product_id": random_.choice(_liked_by(customer)), "occurred_at": instant + timedelta(minutes=5 * step)}
        for step, name in enumerate(_STEPS[: random_.randrange(1, 5)])
    ]  # fmt: skip
    return Fact(instant, tuple(("events", event) for event in events))


def _products(random_: random.Random, start: datetime, days: int) -> Iterator[Fact]:
    """What each product was from the beginning, and what it became once."""
    for product in PRODUCTS:
        changed_at = start + DAY * random_.uniform(0, days)
        for known_from, instant in (("-infinity", datetime(2000, 1, 1, tzinfo=UTC)), (changed_at, changed_at)):
            categories = json.dumps(random_.sample(CATEGORIES, random_.randrange(1, 3)))
            row = {"product_id": product, "known_from": known_from, "price": Decimal(product), "categories": categories}
            yield Fact(instant, (("product_versions", row),))


def _signals(random_: random.Random, start: datetime, days: int) -> Iterator[Fact]:
    """Weather of two places, one of which names no country, and the prices of a share but for weekends."""
    price = Decimal(100)
    for number in range(days):
        at, on = start + DAY * (number + 1), (start + DAY * number).date()
        for location, country in (("London", None), ("Berlin", "DE")):
            warmest = None if random_.random() < 0.1 else random_.uniform(-5, 30)
            row = {
                "location": location, "country": country, "weather_on": on, "temperature_max_celsius": warmest,
                "precipitation_mm": random_.uniform(0, 9),
            }  # fmt: skip
            yield Fact(at, (("weather_daily", row),))
        price += Decimal(random_.randrange(-300, 320)) / 100
        if on.weekday() < 5:
            yield Fact(at, (("stock_prices_daily", {"symbol": "AMZN", "traded_on": on, "close_price": price}),))
