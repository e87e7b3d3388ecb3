"""Who bought what and when, as arrays: read from the warehouse, and as it was known at a cut."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
from psycopg import Connection, sql
from scipy.sparse import csr_matrix

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PURCHASES_SQL = Path(__file__).resolve().parents[2] / "sql" / "models" / "recommendation_purchases.sql"
DAY = 86_400_000_000
"""A day in microseconds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TYPES = {name: pa.int64() for name in ("customer_id", "product_id", "paid_at")}


@dataclass(frozen=True, slots=True)
class Purchases:
    """One entry per order and product in it, ordered by customer, product and time.

    :param paid_at: microseconds since 1970 in UTC.
    """

    customer_ids: Numbers
    product_ids: Numbers
    paid_at: Numbers

    @classmethod
    def of(cls, rows: pa.Table) -> Self:
        return cls(*(rows[name].to_numpy() for name in _TYPES))

    def __len__(self) -> int:
        return len(self.paid_at)

    def between(self, start: int, end: int) -> Purchases:
        """Those paid in `[start, end)`, both in microseconds."""
        kept = (self.paid_at >= start) & (self.paid_at < end)
        return Purchases(self.customer_ids[kept], self.product_ids[kept], self.paid_at[kept])


def read_purchases(conn: Connection, *, since: datetime, until: datetime) -> pa.Table:
    """Purchases of known customers paid in `[since, until)`; what was charged as a fee or as shipping is none."""
    content = BytesIO()
    conn.execute("DROP TABLE IF EXISTS pg_temp.purchase_window")
    conn.execute(
        "CREATE TEMPORARY TABLE purchase_window ON COMMIT DROP AS "
        "SELECT %s::timestamptz AS since_at, %s::timestamptz AS until_at",
        (since, until),
    )
    query = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(sql.SQL(PURCHASES_SQL.read_text()))
    with conn.cursor() as cursor, cursor.copy(query) as copy:
        for part in copy:
            content.write(part)
    if content.tell() == 0:
        return pa.table({name: pa.array([], kind) for name, kind in _TYPES.items()})
    content.seek(0)
    return pyarrow.csv.read_csv(
        content,
        read_options=pyarrow.csv.ReadOptions(column_names=list(_TYPES), use_threads=False),
        convert_options=pyarrow.csv.ConvertOptions(column_types=_TYPES),
    )


def microseconds(at: datetime) -> int:
    """Since 1970 in UTC; `at` has a time zone."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def numbers_in(known: Numbers, wanted: Numbers) -> Numbers:
    """Where each wanted id stands among the known ones, which are ordered; −1 if it does not."""
    if len(known) == 0:
        return np.full(len(wanted), -1)
    found = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[found] == wanted, found, -1)


class History:
    """What was known at a cut: customers and products seen before it get numbers, in the order of their ids.

    :param at: the cut in microseconds; nothing paid at it or later is in.
    """

    def __init__(self, purchases: Purchases, *, at: int) -> None:
        known = purchases.between(np.iinfo(np.int64).min, at)
        self.at = at
        self.customer_ids, self.customers = np.unique(known.customer_ids, return_inverse=True)
        self.product_ids, self.products = np.unique(known.product_ids, return_inverse=True)
        self.ages: Floats = (at - known.paid_at) / DAY
        self.paid_at = known.paid_at

    @property
    def shape(self) -> tuple[int, int]:
        """Customers and products."""
        return len(self.customer_ids), len(self.product_ids)

    @cached_property
    def pairs(self) -> Pairs:
        """What each customer bought of each product."""
        count = self.shape[1]
        keys = self.customers * count + self.products
        unique, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        last = np.full(len(unique), np.inf)
        np.minimum.at(last, inverse, self.ages)
        customers, products = np.divmod(unique, count) if count else (unique, unique)
        return Pairs(customers, products, counts, last)

    def matrix(self, values: Floats) -> csr_matrix:
        """Customers by products, one value per pair."""
        return csr_matrix((values, (self.pairs.customers, self.pairs.products)), shape=self.shape)


@dataclass(frozen=True, slots=True)
class Pairs:
    """One entry per customer and product that they bought, ordered by both numbers.

    :param counts: orders with the product.
    :param last_days: days since the last of them.
    """

    customers: Numbers
    products: Numbers
    counts: Numbers
    last_days: Floats
