"""Made-up trade with customers, and what it is in pandas, which the oracles of the marts of customers stand on."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from psycopg import Connection
from psycopg.rows import dict_row

from tests.integration.golden import make_mart, put_rows

Facts = list[dict[str, Any]]
START = datetime(2023, 12, 20, tzinfo=UTC)


def trade(
    seed: int, *, days: int, orders: int, customers: int = 20, currencies: tuple[str, ...] = ("EUR",)
) -> tuple[Facts, Facts]:
    """Orders and refunds: guests, unpaid orders, equal instants, refunds of nobody's orders and above all sales."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    sold: Facts = []
    given_back: Facts = []
    for number in range(1, orders + 1):
        at = START + timedelta(hours=rng.randrange(days * 24))
        customer = rng.choice([None, *(1 + int(customers * rng.random() ** 2) for _ in range(5))])
        currency = currencies[min(rng.randrange(4), len(currencies) - 1)]
        amount = Decimal(rng.randrange(0, 30_000)) / 100
        sold.append(
            {"order_id": number, "customer_id": customer, "currency": currency, "total_amount": amount,
             "paid_at": None if rng.random() < 0.1 else at}
        )  # fmt: skip
        if rng.random() < 0.25:
            given_back.append(
                {"refund_id": number, "order_id": rng.choice([number, number, max(1, number - 3), 999_999, None]),
                 "customer_id": rng.choice([None, None, rng.randrange(1, customers + 3)]),
                 "currency": currency, "refund_amount": amount * rng.choice((1, 1, 9)),
                 "refunded_at": at + timedelta(hours=rng.randrange(-24 * 9, 24 * 60))}
            )  # fmt: skip
    return sold, given_back


def order(number: int, customer: int | None, paid_at: str, amount: int = 10, currency: str = "EUR") -> dict[str, Any]:
    return {
        "order_id": number, "customer_id": customer, "currency": currency, "total_amount": Decimal(amount),
        "paid_at": datetime.fromisoformat(paid_at).replace(tzinfo=UTC),
    }  # fmt: skip


def refund(number: int, customer: int | None, refunded_at: str, amount: int, order_id: int | None = None) -> dict:
    return {
        "refund_id": number, "order_id": order_id, "customer_id": customer, "currency": "EUR",
        "refund_amount": Decimal(amount), "refunded_at": datetime.fromisoformat(refunded_at).replace(tzinfo=UTC),
    }  # fmt: skip


def facts_of(orders: Sequence[Mapping], refunds: Sequence[Mapping], *, zone: str = "UTC") -> pd.DataFrame:
    """One row per purchase or refund of a customer, amounts in ten-thousandths, refunds below 0, in order of time."""
    owners = {each["order_id"]: each["customer_id"] for each in orders}
    rows = [
        (each["customer_id"], each["currency"], each["paid_at"], int(each["total_amount"] * 10_000), True)
        for each in orders
        if each["paid_at"]
    ]
    for each in refunds:
        owner = owners.get(each["order_id"]) if each["customer_id"] is None else each["customer_id"]
        rows.append((owner, each["currency"], each["refunded_at"], -int(each["refund_amount"] * 10_000), False))
    known = [row for row in rows if row[0] is not None]
    frame = pd.DataFrame(known, columns=["customer_id", "currency", "at", "amount", "is_purchase"])
    local = [at.astimezone(ZoneInfo(zone)) for at in frame["at"]]
    frame["day"] = [at.date() for at in local]
    frame["month"] = [at.date().replace(day=1) for at in local]
    return frame.sort_values("at", kind="stable", ignore_index=True)


def next_month(month: Any) -> Any:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def months_between(first: Any, last: Any) -> list[Any]:
    """First days of months, both ends included."""
    found = []
    while first <= last:
        found.append(first)
        first = next_month(first)
    return found


def end_of(month: Any, zone: str) -> datetime:
    """The first instant after a month."""
    after = next_month(month)
    return datetime(after.year, after.month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def is_over(month: Any, zone: str, until: datetime) -> bool:
    return end_of(month, zone) <= until


def made(
    conn: Connection, mart: str, orders: Facts, refunds: Facts, *, zone: str = "UTC", until: datetime | None = None
) -> list[dict[str, Any]]:
    """Load facts into an empty shop, make a mart, and give its rows."""
    put_rows(conn, "orders", orders)
    put_rows(conn, "refunds", refunds)
    make_mart(conn, mart, time_zone=zone, until=until)
    return rows_of(conn, mart)


def rows_of(conn: Connection, mart: str) -> list[dict[str, Any]]:
    return conn.cursor(row_factory=dict_row).execute(f"SELECT * FROM analytics.{mart}").fetchall()


def money(amount: int) -> Decimal:
    return Decimal(int(amount)) / 10_000
