"""Pages of every source as they come over the wire, for tests to damage; and the sources that read them."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from include.entities.window import Window
from include.sources.factory import SOURCES, source_for
from include.sources.settings import SourceSettings
from include.sources.source import Page, Source

WINDOW = Window(datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 8, tzinfo=UTC))
RECEIVED_AT = datetime(2024, 3, 9, 4, 5, 6, tzinfo=UTC)
CONTEXT: dict[str, dict[str, Any]] = {
    "products": {"currency": "EUR"},
    "refunds": {"currency": "EUR"},
    "weather_daily": {"name": "London", "latitude": 51.5, "longitude": -0.12},
    "stock_prices_daily": {"symbol": "AMZN", "currency": "USD"},
}
_SETTINGS = SourceSettings(name="somewhere", base_url="http://127.0.0.1:1")
SHOP_ENTITIES = ("customers", "products", "orders", "refunds")
ENTITY_NAMES = tuple(SOURCES)

_CUSTOMER = {
    "id": 7,
    "date_created_gmt": "2024-01-02T03:04:05",
    "date_modified_gmt": "2024-03-02T03:04:05",
    "email": "ann@example.com",
    "first_name": "Ann",
    "last_name": "Other",
    "is_paying_customer": True,
    "billing": {"country": "GB"},
}
_PRODUCT = {
    "id": 11,
    "name": "Mug",
    "date_created_gmt": "2024-01-02T03:04:05",
    "date_modified_gmt": "2024-03-02T03:04:05",
    "status": "publish",
    "sku": "MUG-1",
    "price": "9.95",
    "stock_status": "instock",
    "categories": [{"id": 1, "name": "Kitchen"}],
    "attributes": [{"id": 1, "name": "Colour", "options": ["red"]}],
}
_ORDER = {
    "id": 1001,
    "number": "1001",
    "status": "completed",
    "currency": "EUR",
    "total": "24.85",
    "discount_total": "0.00",
    "shipping_total": "4.95",
    "total_tax": "0.00",
    "customer_id": 7,
    "billing": {"country": "GB"},
    "date_created_gmt": "2024-03-02T03:04:05",
    "date_modified_gmt": "2024-03-03T03:04:05",
    "date_paid_gmt": "2024-03-02T03:14:05",
    "date_completed_gmt": None,
    "line_items": [
        {"id": 1, "name": "Mug", "product_id": 11, "quantity": 2, "total": "19.90", "sku": "MUG-1", "price": 9.95},
        {"id": 2, "name": "Card", "product_id": 0, "quantity": 1, "total": "0.00", "sku": None, "price": 0},
    ],
    "shipping_lines": [{"id": 3, "method_title": "Flat rate", "total": "4.95"}],
    "fee_lines": [{"id": 4, "name": "Gift wrapping", "total": "0.00"}],
}
_REFUND = {
    "id": 2001,
    "parent_id": 1001,
    "date_created_gmt": "2024-03-05T03:04:05",
    "amount": "9.95",
    "reason": "Damaged",
    "meta_data": [{"id": 1, "key": "_customer_user", "value": "7"}],
    "line_items": [{"id": 9, "name": "Mug", "product_id": 11, "quantity": -1, "total": "-9.95", "price": 9.95}],
    "shipping_lines": [],
    "fee_lines": [{"id": 10, "name": "Gift wrapping", "total": "0.00"}],
}
_EVENT = {
    "type": "track",
    "messageId": "m-1",
    "event": "Product Viewed",
    "timestamp": "2024-03-02T03:04:05.678Z",
    "receivedAt": "2024-03-02T03:04:06.000Z",
    "userId": "7",
    "anonymousId": "a-1",
    "properties": {"product_id": "11", "price": 9.95},
    "context": {"page": {"path": "/mug"}, "ip": "10.0.0.1"},
}
_WEATHER = {
    "daily_units": {
        "time": "iso8601",
        "temperature_2m_max": "°C",
        "temperature_2m_min": "°C",
        "precipitation_sum": "mm",
        "wind_speed_10m_max": "km/h",
    },
    "daily": {
        "time": ["2024-03-01", "2024-03-02"],
        "temperature_2m_max": [9.5, None],
        "temperature_2m_min": [1.5, None],
        "precipitation_sum": [0.0, None],
        "wind_speed_10m_max": [12.0, None],
    },
}
_STOCKS = {
    "Meta Data": {"2. Symbol": "AMZN"},
    "Time Series (Daily)": {
        "2024-03-04": {"1. open": "1.0", "2. high": "2.5", "3. low": "0.5", "4. close": "2.0", "5. volume": "1200"},
        "2024-03-01": {"1. open": "1.1", "2. high": "2.6", "3. low": "0.6", "4. close": "2.1", "5. volume": "0"},
    },
}
_ROWS = {
    "customers": _CUSTOMER,
    "products": _PRODUCT,
    "orders": _ORDER,
    "refunds": _REFUND,
    "events": _EVENT,
}


def row(entity: str, **changes: Any) -> dict[str, Any]:
    """A good row of the entity with some fields changed."""
    return {**deepcopy(_ROWS[entity]), **changes}


def weather(**columns: list[Any]) -> dict[str, Any]:
    """A good answer of the archive with some columns changed."""
    answer = deepcopy(_WEATHER)
    return {**answer, "daily": {**answer["daily"], **columns}}


def stocks(days: dict[str, Any] | None = None) -> dict[str, Any]:
    """A good daily series with some days added or changed."""
    answer = deepcopy(_STOCKS)
    return {**answer, "Time Series (Daily)": {**answer["Time Series (Daily)"], **(days or {})}}


def good_body(entity: str) -> bytes:
    """A page without a fault."""
    if entity == "weather_daily":
        return json.dumps(weather()).encode()
    if entity == "stock_prices_daily":
        return json.dumps(stocks()).encode()
    return body_of(entity, [row(entity)])


def body_of(entity: str, rows: list[Any]) -> bytes:
    """The rows as the API of the entity puts them on a page."""
    if entity == "events":
        return b"".join(json.dumps(each).encode() + b"\n" for each in rows)
    return json.dumps(rows).encode()


def source(entity: str) -> Source:
    """The source of the entity; it is not asked for anything here."""
    return source_for(entity, settings_of=lambda name: _SETTINGS)


def page(entity: str, body: bytes) -> Page:
    """An answer of the entity's API."""
    return Page(body=body, request="/", received_at=RECEIVED_AT, context=CONTEXT.get(entity, {}))
