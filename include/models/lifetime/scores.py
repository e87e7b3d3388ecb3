"""What every customer is worth at a snapshot, into `ml.lifetime_values`."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

import pyarrow as pa
from psycopg import Connection

from include.entities.window import Window
from include.features.views.customer_lifetime import CUSTOMER_LIFETIME
from include.models.batches import INSTANT, ROWS_PER_BATCH, RowWriter, snapshot_features
from include.models.lifetime.refit import WANTED, StoredFit, current_fit, read_history
from include.models.lifetime.value import lifetime_values
from include.warehouse.connection import one_instant
from include.warehouse.receipts import Receipt, write_receipt

logger = logging.getLogger(__name__)

VALUES = (
    "probability_alive", "expected_purchases", "purchase_value_amount", "value_amount", "value_low_amount",
    "value_high_amount",
)  # fmt: skip


def score_lifetime(
    conn: Connection, *, snapshot_at: datetime, now: datetime, batch_rows: int = ROWS_PER_BATCH
) -> Receipt:
    """Write what each customer is worth by the fit that counts at `snapshot_at`; the same again writes nothing.

    Memory does not grow with the customers. All or nothing: one transaction.

    :raises NoLifetimeModel: there is no fit of that snapshot or an earlier one.
    """
    started = time.monotonic()
    with one_instant(conn):
        fit = current_fit(conn, at=snapshot_at)
        writer = RowWriter(
            conn, ("ml", "lifetime_values"), ("customer_id", "snapshot_at", "lifetime_model_id"), VALUES, ("scored_at",)
        )
        for rows in snapshot_features(
            conn, WANTED, snapshot_at=snapshot_at, present=[CUSTOMER_LIFETIME.name], batch_rows=batch_rows
        ):
            writer.write(scored(rows, fit, snapshot_at=snapshot_at, now=now))
        receipt = Receipt(
            step="score", entity="lifetime_values", window=Window(snapshot_at - timedelta(days=1), snapshot_at),
            received=writer.received, inserted=writer.inserted, updated=writer.updated, unchanged=writer.unchanged,
            details={"lifetime_model_id": fit.lifetime_model_id}, seconds=time.monotonic() - started,
        )  # fmt: skip
        write_receipt(conn, receipt, now=now)
    logger.info("%s lifetime_model_id=%s", receipt, fit.lifetime_model_id)
    return receipt


def scored(rows: pa.Table, fit: StoredFit, *, snapshot_at: datetime, now: datetime) -> pa.Table:
    """Rows of `ml.lifetime_values` from rows with the columns `customer_id` and those of a history."""
    found = lifetime_values(fit.model, *read_history(rows))
    columns = dict(
        zip(
            VALUES,
            (
                found.probability_alive,
                found.expected_purchases,
                found.purchase_value,
                found.value,
                found.low,
                found.high,
            ),
            strict=True,
        )
    )
    return pa.table(
        {
            "customer_id": rows["customer_id"],
            "snapshot_at": pa.array([snapshot_at] * len(rows), INSTANT),
            "lifetime_model_id": pa.array([fit.lifetime_model_id] * len(rows)),
            **{name: pa.array(column, from_pandas=True) for name, column in columns.items()},
            "scored_at": pa.array([now] * len(rows), INSTANT),
        }
    )
