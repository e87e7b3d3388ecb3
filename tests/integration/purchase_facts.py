"""Small shops of purchases for tests of views: orders with lines, refunds, and what products were when."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from psycopg import Connection

from tests.integration.view_rows import PROVENANCE

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Line:
    product_id: int | None
    quantity: int = 1
    amount: Decimal = Decimal(10)
    kind: str = "product"


@dataclass(frozen=True)
class Order:
    order_id: int
    customer_id: int | None
    paid_at: datetime | None
    amount: Decimal = Decimal(10)
    discount: Decimal = Decimal(0)
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Refund:
    refund_id: int
    refunded_at: datetime
    amount: Decimal = Decimal(1)
    order_id: int | None = None
    customer_id: int | None = None


@dataclass(frozen=True)
class Version:
    """A product from `known_from` on; None is from the beginning."""

    product_id: int
    categories: tuple[str, ...]
    known_from: datetime | None = None


Fact = Order | Refund | Version


def instant_of(fact: Fact) -> datetime | None:
    """The event time; None of what never happened or always was."""
    if isinstance(fact, Order):
        return fact.paid_at
    return fact.refunded_at if isinstance(fact, Refund) else fact.known_from


def orders_in(facts: Iterable[Fact]) -> list[Order]:
    return [fact for fact in facts if isinstance(fact, Order)]


def purchases_of(facts: Iterable[Fact], customer: int, snapshot: datetime) -> list[Order]:
    """A customer's paid orders before the snapshot, oldest first."""
    orders = [
        order
        for order in orders_in(facts)
        if order.customer_id == customer and order.paid_at is not None and order.paid_at < snapshot
    ]
    return sorted(orders, key=lambda order: (order.paid_at, order.order_id))


def refunds_of(facts: Sequence[Fact], customer: int, snapshot: datetime) -> list[Refund]:
    """A customer's refunds before the snapshot: those that name them, and those of their orders that name nobody."""
    owners = {order.order_id: order.customer_id for order in orders_in(facts)}
    return [
        fact
        for fact in facts
        if isinstance(fact, Refund)
        and fact.refunded_at < snapshot
        and (owners.get(fact.order_id) if fact.customer_id is None else fact.customer_id) == customer
    ]


def load(conn: Connection, facts: Iterable[Fact]) -> None:
    for fact in facts:
        if isinstance(fact, Order):
            _load_order(conn, fact)
        elif isinstance(fact, Refund):
            conn.execute(
                f"INSERT INTO shop.refunds VALUES (%s, %s, %s, %s, 'GBP', NULL, %s, {PROVENANCE})",
                (fact.refund_id, fact.order_id, fact.customer_id, fact.amount, fact.refunded_at),
            )
        else:
            conn.execute(
                """INSERT INTO shop.product_versions
                VALUES (%s, coalesce(%s::timestamptz, '-infinity'), 'p', 1, 'GBP', %s)""",
                (fact.product_id, fact.known_from, json.dumps(fact.categories)),
            )


def _load_order(conn: Connection, order: Order) -> None:
    placed_at = order.paid_at or datetime.fromisoformat("2020-01-01T00:00:00Z")
    conn.execute(
        f"""INSERT INTO shop.orders VALUES (%s, 'n', %s, 'completed', 'GBP', %s, %s, 0, 0, NULL, %s, %s, NULL, NULL,
        {PROVENANCE})""",
        (order.order_id, order.customer_id, order.amount, order.discount, placed_at, order.paid_at),
    )
    for line_id, line in enumerate(order.lines):
        conn.execute(
            f"INSERT INTO shop.order_lines VALUES (%s, %s, %s, %s, NULL, 'p', %s, 1, %s, {PROVENANCE})",
            (order.order_id, line_id, line.kind, line.product_id, line.quantity, line.amount),
        )


def random_facts(rng: random.Random, *, start: datetime, days: int, count: int = 60, customers: int = 3) -> list[Fact]:
    """Facts over some days, many of them at midnight, at one instant with another, or exactly a year apart."""
    instants = [start + MICROSECOND * rng.randrange(days * 86_400_000_000) for _ in range(count)]
    instants += [start + DAY * rng.randrange(days) for _ in range(count // 3)]
    instants += [rng.choice(instants) for _ in range(count // 4)]
    instants += [instant + DAY * 365 for instant in rng.sample(instants, count // 4)]
    facts: list[Fact] = [
        Version(product_id, _categories(rng), known_from)
        for product_id in (1, 2, 3, 4)  # of product 5 nothing is known
        for known_from in (None, *sorted(set(rng.sample(instants, rng.randrange(3)))))
    ]
    for number, instant in enumerate(instants):
        customer = rng.choice((None, *range(1, customers + 1)))
        if rng.random() < 0.75:
            paid_at = instant if rng.random() < 0.9 else None
            discount = rng.choice((Decimal(0), Decimal(0), _amount(rng)))
            lines = tuple(_line(rng) for _ in range(rng.randrange(5)))
            facts.append(Order(number, customer, paid_at, _amount(rng), discount, lines))
        else:
            order_ids = [order.order_id for order in orders_in(facts)]
            order_id = rng.choice((None, 999_999, *order_ids[-6:]))
            facts.append(Refund(number, instant, _amount(rng), order_id, customer if rng.random() < 0.4 else None))
    return facts


def _amount(rng: random.Random) -> Decimal:
    return rng.choice((Decimal(0), Decimal(10), Decimal(rng.randrange(5_000_000)) / 10_000))


def _line(rng: random.Random) -> Line:
    kind = rng.choice(("product", "product", "product", "shipping", "fee"))
    return Line(rng.choice((None, 1, 2, 3, 4, 5)), rng.choice((1, 1, 2, 7)), _amount(rng), kind)


def _categories(rng: random.Random) -> tuple[str, ...]:
    return tuple(rng.choice(("Tea", "Coffee", "coffee", "Zubehör", "Ärmel")) for _ in range(rng.randrange(3)))
