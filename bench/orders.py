"""A million orders as validation hands them to the upsert."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from include.entities.entity import DIGEST, INSTANT, MONEY
from include.entities.orders import ORDERS

FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)


def orders(count: int, *, version_seconds: int = 0) -> pa.Table:
    """`count` orders of one year, as a shop lists them: by modification time, which all but follows the id."""
    random = np.random.default_rng(7)
    ids = np.arange(1, count + 1)
    placed = int(FIRST_DAY.timestamp()) + ids * 31
    modified = placed + 60 + ids * 7_919 % (3 * 86_400) + version_seconds
    by_modification = np.argsort(modified, kind="stable")
    ids, placed, modified = ids[by_modification], placed[by_modification], modified[by_modification]
    cents = random.integers(100, 50_000, count)

    def instants(seconds: np.ndarray) -> pa.Array:
        return pa.array(seconds * 1_000_000, pa.int64()).cast(INSTANT)

    def money(amounts: np.ndarray) -> pa.Array:
        return pa.array(amounts, pa.int64()).cast(pa.decimal128(19, 0)).cast(MONEY)

    def text(values: list[str]) -> pa.Array:
        codes = pa.array(random.integers(0, len(values), count), pa.int32())
        return pa.DictionaryArray.from_arrays(codes, values).cast(pa.string())

    digests = [hashlib.md5(b"%d/%d" % (number, version_seconds)).digest() for number in ids.tolist()]
    columns = {
        "order_id": pa.array(ids, pa.int64()),
        "order_number": pa.array(ids, pa.int64()).cast(pa.string()),
        "customer_id": pa.array(random.integers(1, 100_000, count), pa.int64()),
        "status": text(["completed", "processing", "refunded"]),
        "currency": text(["GBP"]),
        "total_amount": money(cents),
        "discount_amount": money(cents * 0),
        "shipping_amount": money(cents // 100),
        "tax_amount": money(cents // 5),
        "country": text(["GB", "DE", "FR"]),
        "placed_at": instants(placed),
        "paid_at": instants(placed + 60),
        "completed_at": instants(placed + 3_600),
        "cancelled_at": pa.nulls(count, INSTANT),
        "source_updated_at": instants(modified),
        "content_digest": pa.array(digests, DIGEST),
    }
    return pa.Table.from_pydict(columns, schema=ORDERS.arrow_schema)
