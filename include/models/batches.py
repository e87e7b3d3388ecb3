"""Rows in and rows out, batch by batch: features of everybody at a snapshot, and scores into their table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.selection import PRESENT, Wanted
from include.features.history.historical import get_historical_features
from include.warehouse.copy import copy_rows

INSTANT = pa.timestamp("us", tz="UTC")
ROWS_PER_BATCH = 20_000


def snapshot_features(
    conn: Connection, wanted: Wanted, *, snapshot_at: datetime, present: Sequence[str], batch_rows: int = ROWS_PER_BATCH
) -> Iterator[pa.Table]:
    """Features of all customers as known at `snapshot_at`, in the order of their ids, so many at a time.

    Whoever asks holds a transaction, best that of `one_instant`. Rows are joined as training sets are: the same version
    of the same row, and the TTL counts. Columns: `customer_id`, `event_timestamp`, the features and a status per view.

    :param present: names of the views that a customer must have features in; the others are left out.
    """
    joined_columns = [f"{view}_status" for view in present]
    with conn.cursor(name="customers_to_score") as customers:
        customers.itersize = batch_rows
        customers.execute(
            sql.SQL("SELECT customer_id FROM ({}) AS population ORDER BY customer_id").format(
                sql.SQL(CUSTOMER.population)
            )
        )
        while found := customers.fetchmany(batch_rows):
            spine = pa.table(
                {
                    "customer_id": pa.array([row[0] for row in found], pa.int64()),
                    "event_timestamp": pa.array([snapshot_at] * len(found), INSTANT),
                }
            )
            rows = get_historical_features(conn, spine, wanted).to_arrow()
            for column in joined_columns:
                rows = rows.filter(pc.equal(rows[column], PRESENT))
            if len(rows):
                yield rows


@dataclass
class RowWriter:
    """Writes rows into a table so that the same rows again change nothing.

    :param table: schema and name.
    :param keys: the columns that tell one row from another.
    :param values: those that are compared with what is there; a row in which one differs is updated.
    :param stamps: columns that are written with a row and not compared.
    """

    conn: Connection
    table: tuple[str, str]
    keys: tuple[str, ...]
    values: tuple[str, ...]
    stamps: tuple[str, ...] = ()
    json_columns: tuple[str, ...] = ()
    received: int = field(default=0, init=False)
    inserted: int = field(default=0, init=False)
    updated: int = field(default=0, init=False)

    def write(self, rows: pa.Table) -> None:
        """Merge a batch, in which each key stands once, in the caller's transaction."""
        staged = sql.Identifier(f"staged_{self.table[1]}")
        self.conn.execute(
            sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DROP").format(
                staged, sql.Identifier(*self.table)
            )
        )
        self.conn.execute(sql.SQL("TRUNCATE {}").format(staged))
        columns = [*self.keys, *self.values, *self.stamps]
        with self.conn.cursor() as cursor:
            copy_rows(
                cursor, table=staged, columns=columns, schema=rows.schema, batches=rows.to_batches(),
                json_columns=self.json_columns,
            )  # fmt: skip
        row = self.conn.execute(self._merge(staged, columns)).fetchone()
        assert row is not None
        self.received += len(rows)
        self.inserted += row[0]
        self.updated += row[1]

    @property
    def unchanged(self) -> int:
        """Rows that were there already, the same."""
        return self.received - self.inserted - self.updated

    def _merge(self, staged: sql.Identifier, columns: Sequence[str]) -> sql.Composed:
        def names(prefix: str, chosen: Sequence[str]) -> sql.Composed:
            return sql.SQL(", ").join(sql.SQL(prefix) + sql.Identifier(name) for name in chosen)

        return sql.SQL(
            """
            WITH merged AS (
                INSERT INTO {table} AS kept ({columns})
                SELECT {columns} FROM {staged}
                ON CONFLICT ({keys}) DO UPDATE SET {changes}
                WHERE ({kept}) IS DISTINCT FROM ({new})
                RETURNING old.{first} IS NULL AS is_new
            )

            SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM merged
            """
        ).format(
            table=sql.Identifier(*self.table),
            columns=names("", columns),
            staged=staged,
            keys=names("", self.keys),
            changes=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in (*self.values, *self.stamps)
            ),
            kept=names("kept.", self.values),
            new=names("excluded.", self.values),
            first=sql.Identifier(self.keys[0]),
        )
