"""Demand for products computed the plain way, and a shop of sales and returns to compute it from."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from psycopg import Connection

from include.features.views.product_demand import PRODUCT_DEMAND
from tests.integration.view_rows import Rows, rows_of

DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
_PROVENANCE = "'test', '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z'"
_LONG_AGO = "2015-01-01Z"


@dataclass(frozen=True)
class Line:
    """One line of an order, which is an order of its own unless another line has its number.

    :param discount: on the whole line.
    """

    order_id: int
    paid_at: datetime | None
    product_id: int | None
    quantity: int = 1
    unit_price: Decimal = Decimal("2.5000")
    customer_id: int | None = None
    line_id: int = 1
    kind: str = "product"
    discount: Decimal = Decimal(0)

    @property
    def total_amount(self) -> Decimal:
        return self.quantity * self.unit_price - self.discount


@dataclass(frozen=True)
class Return:
    """One line of a refund, which is a refund of its own."""

    refund_id: int
    refunded_at: datetime
    product_id: int | None
    quantity: int = 1
    order_id: int | None = None
    kind: str = "product"


Fact = Line | Return


def load(conn: Connection, facts: Iterable[Fact]) -> None:
    for fact in facts:
        if isinstance(fact, Line):
            conn.execute(
                f"""INSERT INTO shop.orders VALUES (%s, 'n', %s, 'completed', 'GBP', 1, 0, 0, 0, NULL,
                coalesce(%s, '{_LONG_AGO}'::timestamptz), %s, NULL, NULL, {_PROVENANCE}) ON CONFLICT DO NOTHING""",
                (fact.order_id, fact.customer_id, fact.paid_at, fact.paid_at),
            )
            conn.execute(
                f"INSERT INTO shop.order_lines VALUES (%s, %s, %s, %s, NULL, 'p', %s, %s, %s, {_PROVENANCE})",
                (
                    *(fact.order_id, fact.line_id, fact.kind, fact.product_id),
                    *(fact.quantity, fact.unit_price, fact.total_amount),
                ),
            )
        else:
            conn.execute(
                f"INSERT INTO shop.refunds VALUES (%s, %s, NULL, 1, 'GBP', NULL, %s, {_PROVENANCE})",
                (fact.refund_id, fact.order_id, fact.refunded_at),
            )
            conn.execute(
                f"INSERT INTO shop.refund_lines VALUES (%s, 1, %s, %s, NULL, 'p', %s, 1, {_PROVENANCE})",
                (fact.refund_id, fact.kind, fact.product_id, fact.quantity),
            )


def demand(conn: Connection, snapshots: Sequence[datetime], products: Sequence[int]) -> Rows:
    """What the view's query gives for these snapshots and products."""
    return rows_of(conn, PRODUCT_DEMAND, snapshots, products)


def plain_demand(facts: Sequence[Fact], product: int, snapshot: datetime) -> dict[str, Any] | None:
    """Every feature of one product at one snapshot, or None if it was never sold before it."""
    sales = [
        line
        for line in facts
        if isinstance(line, Line)
        and (line.product_id, line.kind) == (product, "product")
        and line.paid_at is not None
        and line.paid_at < snapshot
    ]
    if not sales:
        return None
    first_at = min(line.paid_at for line in sales)
    returns = [
        fact
        for fact in facts
        if isinstance(fact, Return)
        and (fact.product_id, fact.kind) == (product, "product")
        and start_of_day(first_at, snapshot) <= fact.refunded_at < snapshot
    ]
    last = max(sales, key=lambda line: (line.paid_at, line.order_id, line.line_id))
    days: list[int] = []  # day 1 first
    while snapshot - DAY * len(days) > first_at:
        end = snapshot - DAY * len(days)
        days.append(sum(line.quantity for line in sales if end - DAY <= line.paid_at < end))

    def within(width: int) -> list[Line]:
        return [line for line in sales if line.paid_at >= snapshot - DAY * width]

    units_90 = sum(line.quantity for line in within(90))
    paid_90 = sum((line.quantity * line.unit_price for line in within(90)), Decimal(0))
    returned_90 = sum(fact.quantity for fact in returns if fact.refunded_at >= snapshot - DAY * 90)
    weekday = snapshot.isoweekday()
    return {
        **{f"units_lag_{day}d": days[day - 1] if len(days) >= day else None for day in (1, 7, 14, 28)},
        "units_mean_7d": sum(days[:7]) / len(days[:7]),
        "units_mean_28d": sum(days[:28]) / len(days[:28]),
        "units_deviation_7d": sample_deviation(days[:7]),
        "units_deviation_28d": sample_deviation(days[:28]),
        "units_28d": sum(line.quantity for line in within(28)),
        "units_90d": units_90,
        "sales_amount_28d": sum((line.total_amount for line in within(28)), Decimal(0)),
        "sales_amount_90d": sum((line.total_amount for line in within(90)), Decimal(0)),
        "distinct_buyer_count_28d": len({line.customer_id for line in within(28)} - {None}),
        "snapshot_weekday": weekday,
        "snapshot_weekday_sine": math.sin(math.tau * (weekday - 1) / 7),
        "snapshot_weekday_cosine": math.cos(math.tau * (weekday - 1) / 7),
        "price_position_90d": float(last.unit_price * units_90) / float(paid_90) if paid_90 else None,
        "days_since_last_sale": (snapshot - last.paid_at).total_seconds() / 86400,
        "returned_share_90d": returned_90 / units_90 if units_90 else None,
    }


def start_of_day(instant: datetime, snapshot: datetime) -> datetime:
    """Where the day that `instant` is in begins, in days that end at the snapshot and before it."""
    start = snapshot - DAY
    while start > instant:
        start -= DAY
    return start


def sample_deviation(values: Sequence[int]) -> float | None:
    if len(values) < 2:
        return None
    mean = Fraction(sum(values), len(values))
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def random_facts(rng: random.Random, *, start: datetime, days: int, count: int, products: int = 4) -> list[Fact]:
    """Sales and returns over some days, many at midnight, at one instant with another, or exactly a window apart."""
    instants = [start + MICROSECOND * rng.randrange(days * 86_400_000_000) for _ in range(count)]
    instants += [start + DAY * rng.randrange(days) for _ in range(count // 3)]
    instants += [rng.choice(instants) for _ in range(count // 4)]
    instants += [rng.choice(instants) + DAY * rng.choice((1, 7, 14, 28, 90)) for _ in range(count // 3)]
    facts: list[Fact] = []
    for number, instant in enumerate(instants, 1):
        product = rng.choice([None, *range(1, products + 1)])
        kind = rng.choice(["product"] * 8 + ["fee"])
        if rng.random() < 0.15:
            order = rng.choice([None, 999_999, number - 1 or None])
            facts.append(Return(number, instant, product, rng.randrange(4), order_id=order, kind=kind))
            continue
        paid_at = None if rng.random() < 0.1 else instant
        customer = rng.choice([None, 1, 2, 3])
        for line_id in range(1, rng.choice([1, 1, 1, 2, 3]) + 1):
            price = Decimal(rng.choice([0, 10_000, rng.randrange(1, 500_000)])) / 10_000
            discount = price * rng.choice([0, 0, 1])
            facts.append(Line(number, paid_at, product, rng.randrange(1, 6), price, customer, line_id, kind, discount))
            product = rng.choice([product, rng.randrange(1, products + 1)])
    return facts
