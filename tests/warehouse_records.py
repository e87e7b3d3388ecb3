"""Records as tests make them, one hour younger per version, and tables of them as validation hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from include.entities.customers import Customer
from include.entities.entity import DIGEST, Entity
from include.entities.events import Event
from include.entities.orders import ORDER_LINES, Order, OrderLine
from include.entities.products import Product
from include.entities.weather_daily import WeatherDay
from include.entities.window import Window
from tests.record_digest import digest_of

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
WINDOW = Window(EPOCH, EPOCH + timedelta(days=1))
NOW = datetime(2024, 1, 2, 3, tzinfo=UTC)


def customer(key: int, hour: int = 0, **values: Any) -> Customer:
    known: dict[str, Any] = dict.fromkeys(("email", "first_name", "last_name", "country", "registered_at"))
    known |= {"is_paying": False, **values}
    return Customer(customer_id=key, source_updated_at=EPOCH + timedelta(hours=hour), **known)


def line(order: int, number: int, quantity: int = 1) -> OrderLine:
    return OrderLine(
        order_id=order, line_id=number, kind="product", product_id=7, sku="S", name="a cup", quantity=quantity,
        unit_price=Decimal("2.5000"), total_amount=Decimal("2.5000") * quantity,
    )  # fmt: skip


def order(key: int, hour: int = 0, *, lines: Sequence[OrderLine] = (), placed_day: int = 0, number: str = "") -> Order:
    nothing = Decimal("0.0000")
    return Order(
        order_id=key, order_number=number or str(key), customer_id=None, status="processing", currency="GBP",
        total_amount=nothing, discount_amount=nothing, shipping_amount=nothing, tax_amount=nothing, country=None,
        placed_at=EPOCH + timedelta(days=placed_day), paid_at=None, completed_at=None, cancelled_at=None,
        source_updated_at=EPOCH + timedelta(hours=hour), lines=tuple(lines),
    )  # fmt: skip


def weather(day: int, hour: int, *, warmest: float) -> WeatherDay:
    return WeatherDay(
        location="London", weather_on=(EPOCH + timedelta(days=day)).date(), country="GB", latitude=51.5,
        longitude=-0.12, temperature_max_celsius=warmest, temperature_min_celsius=None, precipitation_mm=None,
        wind_speed_max_kmh=None, source_updated_at=EPOCH + timedelta(hours=hour),
    )  # fmt: skip


def product(key: int, hour: int = 0, *, name: str = "cup", **values: Any) -> Product:
    known = {"sku": None, "price": Decimal("2.5000"), "currency": "GBP", "categories": ("kitchen",), "attributes": {}}
    return Product(
        product_id=key, name=name, stock_status=None, is_published=True,
        source_updated_at=EPOCH + timedelta(hours=hour), **{**known, "created_at": EPOCH, **values},
    )  # fmt: skip


def event(key: str, properties: dict[str, Any]) -> Event:
    return Event(
        event_id=key, event_name="Product Viewed", customer_id=None, anonymous_id="x", product_id=None, order_id=None,
        properties=properties, occurred_at=EPOCH, source_updated_at=EPOCH,
    )  # fmt: skip


def digest(record: Any) -> bytes:
    return digest_of(replace(record, source_updated_at=EPOCH))


def table_of(entity: Entity, records: Sequence[Any]) -> pa.Table:
    versions = [record.source_updated_at for record in records]
    return entity.to_arrow(records, versions=versions, digests=[digest(record) for record in records])


def lines_of(orders: Sequence[Order]) -> pa.Table:
    owners = [each for each in orders for _ in each.lines]
    lines = [each for one in orders for each in one.lines]
    versions = [owner.source_updated_at for owner in owners]
    table = ORDER_LINES.to_arrow(lines, versions=versions, digests=[digest_of(each) for each in lines])
    return table.append_column("parent_digest", pa.array([digest(owner) for owner in owners], DIGEST))
