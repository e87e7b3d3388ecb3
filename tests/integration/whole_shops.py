"""Whole shops in a warehouse, loaded by the way that a night takes, with all their marts; and their facts as loaded."""

from __future__ import annotations

import csv
import lzma
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.window import Window
from tests.integration.ingestion_shop import NOW
from tests.integration.oracle_funnel import Event
from tests.integration.purchase_facts import Line, Order, Version
from tests.integration.test_online_retail import HEADER
from tests.integration.test_online_retail import Line as ExportLine

LEAST_SUPPORT = "0.01"
"""Share of the orders that a set of products must be in; in small shops less is chance."""
EVERY = 25
"""Of so many customers of a real export one is taken."""


@dataclass(frozen=True)
class WholeShop:
    """A shop that was loaded until an instant, whose days begin in a zone."""

    conn: Connection
    window: Window
    zone: str

    @property
    def until(self) -> datetime:
        return self.window.end

    def make_marts(self) -> None:
        """Make every mart, in the order of the registry; commits."""
        for mart in MARTS.values():
            refresh(
                self.conn, mart, window=self.window, until=self.until, now=NOW, time_zone=self.zone,
                settings={"least_support": LEAST_SUPPORT},
            )  # fmt: skip
        self.conn.commit()

    def rows(self, query: str) -> list[dict[str, Any]]:
        """What a table or a query gives."""
        return self.conn.cursor(row_factory=dict_row).execute(query.encode()).fetchall()

    def mart(self, name: str) -> list[dict[str, Any]]:
        """Every row of a mart."""
        return self.rows(f"SELECT * FROM analytics.{name}")

    @property
    def orders(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM shop.orders ORDER BY order_id")

    @property
    def refunds(self) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM shop.refunds ORDER BY refund_id")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Lines sold and given back, with currency and instant."""
        return self.rows(
            """
            SELECT product_id, currency, paid_at AS at, quantity, lines.total_amount AS amount, FALSE AS is_return, kind
            FROM shop.order_lines AS lines INNER JOIN shop.orders USING (order_id) WHERE paid_at IS NOT NULL
            UNION ALL
            SELECT product_id, currency, refunded_at, quantity, lines.total_amount, TRUE, kind
            FROM shop.refund_lines AS lines INNER JOIN shop.refunds USING (refund_id)
            """
        )

    @property
    def purchases(self) -> list[Order]:
        """Paid orders with their lines."""
        lines: dict[int, list[Line]] = {}
        for row in self.rows("SELECT * FROM shop.order_lines"):
            line = Line(row["product_id"], row["quantity"], row["total_amount"], row["kind"])
            lines.setdefault(row["order_id"], []).append(line)
        return [
            Order(
                row["order_id"], row["customer_id"], row["paid_at"], row["total_amount"],
                lines=tuple(lines.get(row["order_id"], ())),
            )
            for row in self.orders
            if row["paid_at"] is not None
        ]  # fmt: skip

    @property
    def versions(self) -> list[Version]:
        """What products were when."""
        query = (
            "SELECT product_id, categories, nullif(known_from, '-infinity') AS known_from FROM shop.product_versions"
        )
        return [Version(row["product_id"], tuple(row["categories"]), row["known_from"]) for row in self.rows(query)]

    @property
    def events(self) -> list[Event]:
        events = []
        for row in self.rows("SELECT * FROM shop.events"):
            context = row["properties"].get("context") or {}
            events.append(
                Event(
                    row["event_id"], row["occurred_at"], row["event_name"], row["customer_id"], row["anonymous_id"],
                    context.get("sessionId"), (context.get("campaign") or {}).get("source"),
                    (context.get("device") or {}).get("type"),
                )
            )  # fmt: skip
        return events


def some_customers(export: Path) -> list[ExportLine]:
    """The lines of every so many-th customer of a real export, and of as many of the invoices that name nobody."""
    opener = lzma.open if export.suffix == ".xz" else open
    with opener(export, "rt", newline="") as file:  # type: ignore[operator]
        rows = list(csv.DictReader(file))
    return [tuple(row[name] for name in HEADER) for row in rows if _number(row) % EVERY == 0]


def _number(row: dict[str, str]) -> int:
    digits = "".join(filter(str.isdigit, row["CustomerID"] or row["InvoiceNo"]))
    return int(digits or 0)
