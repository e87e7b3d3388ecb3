"""Churn probability, decile, reasons and value of every customer at a snapshot, into `ml.customer_scores`."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
from psycopg import Connection

from include.entities.window import Window
from include.features.history.historical import get_historical_features
from include.models.batches import INSTANT, ROWS_PER_BATCH, RowWriter, snapshot_features
from include.models.churn.inputs import CORE_VIEW
from include.models.lifetime.refit import WANTED, NoLifetimeModel, StoredFit, current_fit, read_history
from include.models.lifetime.value import lifetime_values
from include.models.scores.champion import Champion
from include.warehouse.connection import one_instant
from include.warehouse.receipts import Receipt, write_receipt

logger = logging.getLogger(__name__)

_VALUES = ("value_amount", "value_low_amount", "value_high_amount")


def score_customers(
    conn: Connection, champion: Champion, *, snapshot_at: datetime, now: datetime, batch_rows: int = ROWS_PER_BATCH
) -> Receipt:
    """Score everybody who has features at `snapshot_at`, by the features as known then.

    Memory does not grow with the customers. All or nothing: one transaction. The same again writes nothing; scores of
    other snapshots and other models stay. A score has the bits that the model gives for the same customer and instant
    in real time.
    """
    started = time.monotonic()
    with one_instant(conn):
        fit = _fit_at(conn, snapshot_at)
        writer = RowWriter(
            conn,
            ("ml", "customer_scores"),
            ("customer_id", "snapshot_at", "model_id"),
            ("model_version", "churn_probability", "churn_decile", "reasons", *_VALUES),
            ("scored_at",),
            json_columns=("reasons",),
        )
        for rows in snapshot_features(
            conn, champion.wanted, snapshot_at=snapshot_at, present=[CORE_VIEW], batch_rows=batch_rows
        ):
            values = _values(conn, rows, fit)
            writer.write(_scored(rows, champion, values, snapshot_at=snapshot_at, now=now))
        if writer.received:
            _note_run(conn, champion, fit, writer.received, snapshot_at=snapshot_at, now=now)
        receipt = Receipt(
            step="score", entity="customer_scores", window=Window(snapshot_at - timedelta(days=1), snapshot_at),
            received=writer.received, inserted=writer.inserted, updated=writer.updated, unchanged=writer.unchanged,
            details={"model_id": champion.kept.model_id, "model_version": champion.kept.version},
            seconds=time.monotonic() - started,
        )  # fmt: skip
        write_receipt(conn, receipt, now=now)
    logger.info(
        "%s model_id=%s lifetime_model_id=%s",
        receipt, champion.kept.model_id, fit.lifetime_model_id if fit else None,
    )  # fmt: skip
    return receipt


def _fit_at(conn: Connection, snapshot_at: datetime) -> StoredFit | None:
    try:
        return current_fit(conn, at=snapshot_at)
    except NoLifetimeModel as missing:
        logger.warning("score_customers without values: %s", missing)
        return None


def _values(conn: Connection, rows: pa.Table, fit: StoredFit | None) -> dict[str, pa.Array]:
    """Values with their interval; a join of its own, as the churn model may read another version of the same view."""
    if fit is None:
        return {name: pa.nulls(len(rows), pa.float64()) for name in _VALUES}
    histories = get_historical_features(conn, rows.select(["customer_id", "event_timestamp"]), WANTED).to_arrow()
    found = lifetime_values(fit.model, *read_history(histories))
    columns = zip(_VALUES, (found.value, found.low, found.high), strict=True)
    return {name: pa.array(column, from_pandas=True) for name, column in columns}


def _scored(
    rows: pa.Table, champion: Champion, values: dict[str, pa.Array], *, snapshot_at: datetime, now: datetime
) -> pa.Table:
    scores = champion.model.score(rows)
    return pa.table(
        {
            "customer_id": rows["customer_id"],
            "snapshot_at": pa.array([snapshot_at] * len(rows), INSTANT),
            "model_id": pa.array([champion.kept.model_id] * len(rows)),
            "model_version": pa.array([champion.kept.version] * len(rows)),
            "churn_probability": pa.array(np.asarray(scores.probability, dtype=np.float64)),
            "churn_decile": pa.array(np.asarray(scores.decile, dtype=np.int16)),
            "reasons": pa.array([msgspec.json.encode(each).decode() for each in scores.reasons]),
            **values,
            "scored_at": pa.array([now] * len(rows), INSTANT),
        }
    )


def _note_run(
    conn: Connection, champion: Champion, fit: StoredFit | None, customers: int, *, snapshot_at: datetime, now: datetime
) -> None:
    conn.execute(
        """
        INSERT INTO ml.score_runs AS known (
            model_id, snapshot_at, model_version, horizon_days, lifetime_model_id, customer_count, scored_at
        )
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (model_id, snapshot_at) DO UPDATE
        SET
            lifetime_model_id = excluded.lifetime_model_id,
            customer_count = excluded.customer_count,
            scored_at = excluded.scored_at
        WHERE
            (known.lifetime_model_id, known.customer_count)
            IS DISTINCT FROM (excluded.lifetime_model_id, excluded.customer_count)
        """,
        (
            champion.kept.model_id, snapshot_at, champion.kept.version, champion.model.horizon_days,
            fit.lifetime_model_id if fit else None, customers, now,
        ),
    )  # fmt: skip
