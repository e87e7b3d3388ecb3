"""A small shop for tests of features: facts in Python, put into the warehouse as a load would, with receipts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from psycopg import Connection, sql

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.view import FeatureView
from include.features.registry import FEATURE_VIEWS
from include.warehouse.receipts import Receipt, write_receipt

DAY = timedelta(days=1)
NOW = datetime(2030, 1, 1, tzinfo=UTC)
COUNTRIES = ("DE", "AT", None)
ROWS_AT_ONCE = 500
EVENT_NAMES = ("Product Viewed", "Product Added", "Checkout Started", "Order Completed")
_PROVENANCE = "'test', '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z'"


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass(frozen=True)
class Order:
    order_id: int
    customer_id: int | None
    paid_at: datetime | None
    amount: Decimal = Decimal("10.0000")
    products: tuple[int | None, ...] = ()


@dataclass(frozen=True)
class Refund:
    refund_id: int
    refunded_at: datetime
    amount: Decimal
    order_id: int | None = None
    customer_id: int | None = None


@dataclass(frozen=True)
class Event:
    event_id: str
    customer_id: int | None
    occurred_at: datetime


Fact = Order | Refund | Event


def instant_of(fact: Fact) -> datetime:
    if isinstance(fact, Order):
        return fact.paid_at or day("2020-01-01")
    return fact.refunded_at if isinstance(fact, Refund) else fact.occurred_at


def entity_of(fact: Fact) -> str:
    return {Order: "orders", Refund: "refunds", Event: "events"}[type(fact)]


def load(conn: Connection, facts: Sequence[Fact]) -> None:
    """Put facts in, one receipt per entity, and commit."""
    for entity in ("orders", "refunds", "events"):
        own = [fact for fact in facts if entity_of(fact) == entity]
        if own:
            _insert(conn, own)
            write_load_receipt(conn, entity, oldest=min(map(instant_of, own)), rows=len(own))
    conn.commit()


def write_load_receipt(
    conn: Connection, entity: str, *, oldest: datetime, rows: int = 1, window: Window | None = None
) -> int:
    """The receipt of a load; by default one that covers all time."""
    window = window or Window(day("2000-01-01"), day("2100-01-01"))
    receipt = Receipt(step="upsert", entity=entity, window=window, received=rows, inserted=rows, oldest_event_at=oldest)
    return write_receipt(conn, receipt, now=NOW)


def _insert(conn: Connection, facts: Sequence[Fact]) -> None:
    """Put in facts of one entity, many rows by a statement as a load does: the triggers of a statement cost most."""
    orders = [fact for fact in facts if isinstance(fact, Order)]
    _insert_rows(conn, "shop.orders (%s, 'n', %s, 'completed', 'GBP', %s, %s, 0, 0, %s, %s, %s, %s, NULL)", [
        (order.order_id, order.customer_id, order.amount, order.order_id % 4, COUNTRIES[order.order_id % 3],
         order.paid_at or day("2020-01-01"), order.paid_at, order.paid_at)
        for order in orders
    ])  # fmt: skip
    _insert_rows(conn, "shop.order_lines (%s, %s, %s, %s, NULL, %s, 1, 1, 1)", [
        line
        for order in orders
        for line in (
            *((order.order_id, number, "product", product_id, "p") for number, product_id in enumerate(order.products)),
            (order.order_id, 1000, "shipping", 7777, "s"),
        )
    ])  # fmt: skip
    _insert_rows(conn, "shop.refunds (%s, %s, %s, %s, 'GBP', NULL, %s)", [
        (fact.refund_id, fact.order_id, fact.customer_id, fact.amount, fact.refunded_at)
        for fact in facts
        if isinstance(fact, Refund)
    ])  # fmt: skip
    _insert_rows(conn, "shop.events (%s, %s, %s, NULL, NULL, NULL, '{}', %s)", [
        (fact.event_id, EVENT_NAMES[len(fact.event_id) % 4], fact.customer_id, fact.occurred_at)
        for fact in facts
        if isinstance(fact, Event)
    ])  # fmt: skip


def _insert_rows(conn: Connection, told: str, rows: Sequence[tuple]) -> None:
    """:param told: the table and, in brackets, the values of a row without those of where it came from."""
    table, _, values = told.removesuffix(")").partition(" (")
    for first in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[first : first + ROWS_AT_ONCE]
        places = ", ".join([f"({values}, {_PROVENANCE})"] * len(some))
        conn.execute(f"INSERT INTO {table} VALUES {places}", [value for row in some for value in row])


def random_facts(seed: int, *, start: datetime, days: int, customers: int = 8, count: int = 120) -> list[Fact]:
    """Facts over some days, many of them at midnight, at one instant with another, or exactly a window apart."""
    rng = random.Random(seed)
    instants = [start + timedelta(microseconds=rng.randrange(days * 86_400_000_000)) for _ in range(count)]
    instants += [start + DAY * rng.randrange(days) for _ in range(count // 3)]
    instants += [rng.choice(instants) for _ in range(count // 4)]
    instants += [rng.choice(instants) + DAY * rng.choice((30, 90, 365)) for _ in range(count // 6)]
    instants = [instant for instant in instants if instant < start + DAY * days]
    facts: list[Fact] = []
    for number, instant in enumerate(instants, 1):
        customer = rng.choice([None, *range(1, customers + 1)])
        kind = rng.random()
        amount = Decimal(rng.randrange(1, 5_000_000)) / 10_000
        if kind < 0.6:
            products = tuple(rng.choice([None, 1, 2, 3, 4, 5]) for _ in range(rng.randrange(4)))
            paid_at = None if rng.random() < 0.1 else instant
            facts.append(Order(number, customer, paid_at, amount, products))
        elif kind < 0.75:
            orders = [fact.order_id for fact in facts if isinstance(fact, Order) and instant_of(fact) <= instant]
            order_id = rng.choice([None, 999_999, *orders[-5:]])
            facts.append(Refund(number, instant, amount, order_id, customer if rng.random() < 0.5 else None))
        else:
            facts.append(Event(f"event-{number}", customer, instant))
    return facts


def build_all(conn: Connection, window: Window, *, now: datetime = NOW) -> dict[str, Receipt]:
    return {name: build_view(conn, view, window, now=now) for name, view in FEATURE_VIEWS.items()}


def newest_versions(conn: Connection, view: FeatureView, *, with_available_time: bool = False) -> list[tuple]:
    """The newest version of each (key, event_time) that is not a tombstone, as text."""
    columns = [view.entity.key_names[0], "event_time", *view.feature_names] + (
        ["available_time"] if with_available_time else []
    )
    query = sql.SQL(
        """
        SELECT {columns} FROM (
            SELECT DISTINCT ON ({key}, event_time) * FROM {history}
            ORDER BY {key}, event_time, available_time DESC, seq DESC
        ) AS newest WHERE NOT is_tombstone ORDER BY {key}, event_time
        """
    ).format(
        columns=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns),
        history=sql.Identifier("features", view.name),
        key=sql.Identifier(view.entity.key_names[0]),
    )
    return conn.execute(query).fetchall()


def all_bytes(conn: Connection) -> dict[str, list[tuple]]:
    """Every row of every features table with the place and transaction of its writing; what touches were seen aside."""
    tables = conn.execute(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'features'::regnamespace AND relkind = 'r' AND relname <> 'view_versions'
        """
    ).fetchall()
    return {
        name: conn.execute(
            sql.SQL("SELECT ctid::text, xmin::text, t::text FROM {} AS t ORDER BY 1").format(
                sql.Identifier("features", name)
            )
        ).fetchall()
        for (name,) in tables
    }
