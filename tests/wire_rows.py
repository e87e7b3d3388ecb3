"""What a row on the wire means for the tables, told a second time in plain Python: the oracle of ingestion tests.

Reads what `json` reads, shares no code with the sources, and knows nothing of pages, batches or merges. Rows come
without what only the writing knows (`source`, `content_digest`, `first_seen_at`, `ingested_at`), and those of observed
entities without their time of reading.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

Row = dict[str, Any]
Rows = dict[str, list[Row]]

KEYS = {
    "shop.customers": ("customer_id",),
    "shop.products": ("product_id",),
    "shop.orders": ("order_id",),
    "shop.order_lines": ("order_id", "line_id"),
    "shop.refunds": ("refund_id",),
    "shop.refund_lines": ("refund_id", "line_id"),
    "shop.events": ("event_id",),
    "signals.weather_daily": ("location", "weather_on"),
    "signals.stock_prices_daily": ("symbol", "traded_on"),
}
LINE_TABLES = {"orders": "shop.order_lines", "refunds": "shop.refund_lines"}
NOT_TOLD = frozenset({"source", "content_digest", "first_seen_at", "ingested_at"})
OBSERVED = frozenset({"weather_daily", "stock_prices_daily"})
PERSONAL = frozenset(
    {"ip", "traits", "email", "phone", "userAgent", "firstName", "first_name", "lastName", "last_name"}
)
_STEP = Decimal("0.0001")
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)
_WEATHER = {
    "temperature_max_celsius": "temperature_2m_max",
    "temperature_min_celsius": "temperature_2m_min",
    "precipitation_mm": "precipitation_sum",
    "wind_speed_max_kmh": "wind_speed_10m_max",
}


def read_json(raw: bytes | str) -> Any:
    """JSON with numbers exactly as they stand: whole ones as int, others as Decimal."""
    return json.loads(raw, parse_float=Decimal)


def instant(text: str | None) -> datetime | None:
    """An ISO 8601 time, to the nearest microsecond, in UTC where it names no zone."""
    if text is None:
        return None
    parsed = datetime.fromisoformat(text)
    if beyond := re.search(r"\.\d{6}(\d+)", text):
        parsed += timedelta(microseconds=int(beyond[1][0] >= "5"))
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def rows_of_wire(entity: str, wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    """The rows of every table that one row on the wire stands for.

    :param context: what the page knows beside its rows: `currency`, the place or the symbol.
    :raises Exception: it stands for none; which one does not matter.
    """
    rows = _READERS[entity](wire, context)
    if entity in LINE_TABLES:
        rows[LINE_TABLES[entity]] = [row_of_line(entity, kind, line, wire) for kind, line in lines_in(wire)]
    return rows


def row_without_lines(entity: str, wire: Mapping[str, Any], context: Mapping[str, Any]) -> Row:
    """The row of an order, refund or whatever has no lines, alone."""
    (rows,) = _READERS[entity](wire, context).values()
    return rows[0]


def _customers(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    registered_at = instant(wire["date_created_gmt"])
    return {
        "shop.customers": [
            {
                "customer_id": wire["id"],
                "email": wire.get("email") or None,
                "first_name": wire.get("first_name") or None,
                "last_name": wire.get("last_name") or None,
                "country": wire.get("billing", {}).get("country") or None,
                "registered_at": registered_at,
                "is_paying": wire.get("is_paying_customer", False),
                "source_updated_at": instant(wire.get("date_modified_gmt")) or registered_at,
            }
        ]
    }


def _products(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    created_at = instant(wire.get("date_created_gmt"))
    return {
        "shop.products": [
            {
                "product_id": wire["id"],
                "sku": wire.get("sku") or None,
                "name": wire["name"],
                "price": Decimal(wire["price"]) if wire.get("price") else None,
                "currency": context["currency"],
                "categories": [each["name"] for each in wire.get("categories", [])],
                "attributes": {each["name"]: each.get("options", []) for each in wire.get("attributes", [])},
                "stock_status": wire.get("stock_status"),
                "is_published": wire.get("status", "publish") == "publish",
                "created_at": created_at,
                "source_updated_at": instant(wire.get("date_modified_gmt")) or created_at,
            }
        ]
    }


def _orders(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    modified_at = instant(wire["date_modified_gmt"])
    return {
        "shop.orders": [
            {
                "order_id": wire["id"],
                "order_number": wire["number"],
                "customer_id": wire.get("customer_id") or None,
                "status": wire["status"],
                "currency": wire["currency"],
                "total_amount": Decimal(wire["total"]),
                "discount_amount": Decimal(wire.get("discount_total", "0")),
                "shipping_amount": Decimal(wire.get("shipping_total", "0")),
                "tax_amount": Decimal(wire.get("total_tax", "0")),
                "country": wire.get("billing", {}).get("country") or None,
                "placed_at": instant(wire["date_created_gmt"]),
                "paid_at": instant(wire.get("date_paid_gmt")),
                "completed_at": instant(wire.get("date_completed_gmt")),
                "cancelled_at": modified_at if wire["status"] in ("cancelled", "failed", "trash") else None,
                "source_updated_at": modified_at,
            }
        ],
    }


def _refunds(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    refunded_at = instant(wire["date_created_gmt"])
    customers = [each.get("value") for each in wire.get("meta_data", []) if each.get("key") == "_customer_user"]
    return {
        "shop.refunds": [
            {
                "refund_id": wire["id"],
                "order_id": wire.get("parent_id") or None,
                "customer_id": _id(customers[0]) or None if customers else None,
                "refund_amount": Decimal(wire["amount"]),
                "currency": context["currency"],
                "reason": wire.get("reason") or None,
                "refunded_at": refunded_at,
                "source_updated_at": refunded_at,
            }
        ],
    }


def lines_in(wire: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The lines of an order or refund with their kinds: products, then shipping, then fees."""
    kinds = (("product", "line_items"), ("shipping", "shipping_lines"), ("fee", "fee_lines"))
    return [(kind, line) for kind, name in kinds for line in wire.get(name, [])]


def row_of_line(entity: str, kind: str, line: Mapping[str, Any], wire: Mapping[str, Any]) -> Row:
    """The row of one line, without a version: a line keeps its own while it does not change.

    :raises Exception: it stands for none.
    """
    is_refund = entity == "refunds"
    sign = -1 if is_refund else 1
    total = sign * Decimal(line["total"])
    row = {"refund_id" if is_refund else "order_id": wire["id"], "line_id": line["id"], "kind": kind}
    if kind == "product":
        row |= {
            "product_id": line.get("product_id") or None,
            "sku": line.get("sku") or None,
            "name": line["name"] or "",
        }
        row |= {"quantity": sign * line["quantity"]}
        price = line.get("price")
        each = Decimal(str(price)) if price is not None else _WIDE.divide(total, Decimal(line["quantity"] or 1))
    else:
        title = "method_title" if kind == "shipping" else "name"
        row |= {"product_id": None, "sku": None, "name": line.get(title) or "", "quantity": 1}
        each = total
    if not is_refund:
        row["unit_price"] = each.quantize(_STEP, context=_WIDE)
    return {**row, "total_amount": total}


def _events(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    properties, surroundings = (
        {name: value for name, value in wire.get(part, {}).items() if name not in PERSONAL}
        for part in ("properties", "context")
    )
    return {
        "shop.events": [
            {
                "event_id": wire["messageId"],
                "event_name": wire["event"],
                "customer_id": _id(wire.get("userId")),
                "anonymous_id": wire.get("anonymousId"),
                "product_id": _id(wire.get("properties", {}).get("product_id")),
                "order_id": _id(wire.get("properties", {}).get("order_id")),
                "properties": {**properties, "context": surroundings},
                "occurred_at": instant(wire["timestamp"]),
                "source_updated_at": instant(wire["receivedAt"]),
            }
        ]
    }


def _weather_daily(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    def number(name: str) -> float | None:
        value = wire.get(name)
        return None if value is None else float(value)

    return {
        "signals.weather_daily": [
            {
                "location": context["name"],
                "weather_on": date.fromisoformat(wire["time"]),
                "country": context.get("country"),
                "latitude": float(context["latitude"]),
                "longitude": float(context["longitude"]),
                **{ours: number(theirs) for ours, theirs in _WEATHER.items()},
            }
        ]
    }


def _stock_prices_daily(wire: Mapping[str, Any], context: Mapping[str, Any]) -> Rows:
    return {
        "signals.stock_prices_daily": [
            {
                "symbol": context["symbol"],
                "traded_on": date.fromisoformat(wire["day"]),
                "open_price": Decimal(wire["1. open"]),
                "high_price": Decimal(wire["2. high"]),
                "low_price": Decimal(wire["3. low"]),
                "close_price": Decimal(wire["4. close"]),
                "currency": context["currency"],
                "volume": int(wire["5. volume"]),
            }
        ]
    }


def _id(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Rows]] = {
    "customers": _customers,
    "products": _products,
    "orders": _orders,
    "refunds": _refunds,
    "events": _events,
    "weather_daily": _weather_daily,
    "stock_prices_daily": _stock_prices_daily,
}
