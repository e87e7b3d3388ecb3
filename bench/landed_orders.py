"""Landed pages of orders as the sandbox serves them: its simulated shop's orders over and over, under new ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, islice
from typing import Any

import msgspec

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.local.sandbox.simulator.simulator import Simulator
from include.sources.source import Page

PER_PAGE = 100
WINDOW = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
NOW = datetime(2025, 1, 2, tzinfo=UTC)
_CUSTOMERS = 500
_LINES = ("line_items", "shipping_lines", "fee_lines")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class LandedOrders:
    """A landed batch.

    :param body_bytes: of all pages as they came, before compression.
    """

    batch: str
    orders: int
    lines: int
    body_bytes: int

    def __str__(self) -> str:
        return (
            f"{self.orders:,} orders with {self.lines:,} lines on {-(-self.orders // PER_PAGE):,} pages, "
            f"{self.body_bytes / 1e6:,.0f} MB of JSON"
        )


def land_orders(landing: Landing, *, rows: int, spoilt: int = 0) -> LandedOrders:
    """Land orders until they and their lines are so many rows.

    :param spoilt: of each page so many orders have a negative total, which a rule rejects with their lines.
    """
    writer = landing.open_batch(source="shop_api", entity="orders", window=WINDOW, now=NOW)
    orders = lines = body_bytes = 0
    for number, page in enumerate(_pages(rows), start=1):
        sent = [msgspec.structs.replace(order, total="-1.00") if n < spoilt else order for n, order in enumerate(page)]
        body = _encode(sent)
        request = f"/wp-json/wc/v3/orders?page={number}"
        writer.write(Page(body=body, request=request, received_at=NOW + timedelta(seconds=1)), rows=len(page))
        orders += len(page)
        lines += sum(map(_line_count, page))
        body_bytes += len(body)
    return LandedOrders(writer.close(), orders, lines, body_bytes)


def _pages(rows: int) -> Iterator[list[Any]]:
    left = rows
    orders = _orders()
    while left > 0:
        page = []
        for order in islice(orders, PER_PAGE):
            page.append(order)
            left -= 1 + _line_count(order)
            if left <= 0:
                break
        yield page


def _orders() -> Iterator[Any]:
    """The newest version of each simulated order, again and again; order and line ids never come twice."""
    collection = Simulator(customers=_CUSTOMERS, seed=1).shop().orders
    newest = {int(key): collection.item(place) for place, key in enumerate(collection.keys)}
    line_ids = count(1)
    for number, order in zip(count(1), cycle(newest.values()), strict=False):
        lines = {
            name: tuple(msgspec.structs.replace(line, id=next(line_ids)) for line in getattr(order, name))
            for name in _LINES
        }
        yield msgspec.structs.replace(order, id=number, number=str(number), **lines)


def _line_count(order: Any) -> int:
    return sum(len(getattr(order, name)) for name in _LINES)
