"""Editing, adding and removing records of the shop while it is served, so that pages shift under their reader."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from include.local.sandbox.instants import gmt, parse_instant
from include.local.sandbox.shop import Collection
from include.local.sandbox.wire import money


class EditRefused(ValueError):
    """The edit names a record, line or field that is not there."""


def edit_record(collection: Collection, key: int, *, change: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Add a newer version of a record; or remove it, or add one.

    :param change: any of `modified_at` (ISO 8601; the clock's instant without it), `set` (fields of the record
        with their new values) and `quantities` (new quantity by line id; an order's totals follow). Or `remove`,
        which is true; or `copy_of`, the key of a record that a new one of this key, made at `modified_at`, is like.
    :returns: the record as it is now, or was last.
    :raises EditRefused: nothing was changed.
    """
    try:
        modified = parse_instant(change["modified_at"]) if "modified_at" in change else now
    except ValueError as error:
        raise EditRefused(f"modified_at is not an ISO 8601 instant: {error}") from None
    if "copy_of" in change:
        return _add_copy(collection, key, of=change["copy_of"], at=modified, now=now)
    item = collection.find(key, now=now)
    if item is None:
        raise EditRefused(f"There is no record {key} at this instant.")
    if change.get("remove"):
        collection.remove(key, now=now)
        removed: dict[str, Any] = msgspec.to_builtins(item)
        return removed
    record: dict[str, Any] = msgspec.to_builtins(item)
    unknown = set(change.get("set", {})) - set(record)
    if unknown:
        raise EditRefused(f"The record {key} has no fields {sorted(unknown)}.")
    for line_id, quantity in change.get("quantities", {}).items():
        _set_quantity(record, int(line_id), quantity)
    record |= change.get("set", {})
    record |= {name: gmt(modified) for name in ("date_modified", "date_modified_gmt") if name in record}
    collection.add_version(key, modified=modified, item=record, status=record.get("status", ""))
    return record


def _add_copy(collection: Collection, key: int, *, of: int, at: int, now: int) -> dict[str, Any]:
    item = collection.find(of, now=now)
    if item is None or (collection.keys == key).any():
        raise EditRefused(f"There is no record {of} at this instant to copy, or there is a record {key}.")
    record: dict[str, Any] = msgspec.to_builtins(item)
    record |= {"id": key, "date_created": gmt(at), "date_created_gmt": gmt(at)}
    record |= {name: gmt(at) for name in ("date_modified", "date_modified_gmt") if name in record}
    collection.add_copy(key, of=of, created=at, item=record)
    return record


def _set_quantity(order: dict[str, Any], line_id: int, quantity: int) -> None:
    lines = [line for line in order.get("line_items", []) if line["id"] == line_id]
    if not lines:
        raise EditRefused(f"The order {order['id']} has no line {line_id}.")
    line = lines[0]
    before = Decimal(line["total"])
    line["quantity"] = quantity
    line["total"] = line["subtotal"] = money(Decimal(str(line["price"])) * quantity)
    order["total"] = money(Decimal(order["total"]) + Decimal(line["total"]) - before)
