"""Scores whose horizon is over, beside what came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection

from include.models.metrics import judge
from include.warehouse.receipts import loaded_stretches

ACTIVE_WITHIN_DAYS = 365
"""The model is about customers who bought within so many days before the snapshot, as its labels are."""


@dataclass(frozen=True, slots=True)
class Matured:
    """How the scores of one model and snapshot did.

    :param metrics: those of `include.models.metrics.judge`, and `churn_rate` and `mean_probability`.
    """

    model_id: str
    snapshot_at: datetime
    rows: int
    metrics: dict[str, float]


def matured_runs(conn: Connection, *, until: datetime) -> list[Matured]:
    """Every run whose outcomes are known by `until` and were not measured yet.

    Outcomes are known when orders were loaded without a gap over the whole horizon. A run without customers whom the
    model is about, or with one outcome only, has no metrics, and is looked at again next time.
    """
    stretches = loaded_stretches(conn, entity="orders", until=until)
    pending = conn.execute(
        """
        SELECT model_id, snapshot_at, horizon_days
        FROM ml.score_runs AS runs
        WHERE
            snapshot_at + make_interval(days => horizon_days) <= %s
            AND NOT EXISTS (
                SELECT FROM ml.monitoring
                WHERE
                    monitoring.model_id = runs.model_id
                    AND monitoring.snapshot_at = runs.snapshot_at
                    AND monitoring.subject = 'reality'
            )
        ORDER BY snapshot_at, model_id
        """,
        (until,),
    ).fetchall()
    found = []
    for model_id, snapshot_at, horizon_days in pending:
        end = snapshot_at + timedelta(days=horizon_days)
        if any(stretch.start <= snapshot_at and end <= stretch.end for stretch in stretches):
            matured = _measure(conn, model_id, snapshot_at, end)
            if matured is not None:
                found.append(matured)
    return found


def _measure(conn: Connection, model_id: str, snapshot_at: datetime, end: datetime) -> Matured | None:
    rows = conn.execute(
        """
        WITH buyers AS (
            SELECT customer_id, bool_or(paid_at >= %(snapshot_at)s) AS came_back
            FROM shop.orders
            WHERE customer_id IS NOT NULL AND paid_at >= %(active_since)s AND paid_at < %(end)s
            GROUP BY customer_id
            HAVING bool_or(paid_at < %(snapshot_at)s)
        )

        SELECT scores.churn_probability, NOT buyers.came_back
        FROM ml.customer_scores AS scores
        INNER JOIN buyers ON scores.customer_id = buyers.customer_id
        WHERE scores.model_id = %(model_id)s AND scores.snapshot_at = %(snapshot_at)s
        ORDER BY scores.customer_id
        """,
        {
            "model_id": model_id, "snapshot_at": snapshot_at, "end": end,
            "active_since": snapshot_at - timedelta(days=ACTIVE_WITHIN_DAYS),
        },
    ).fetchall()  # fmt: skip
    if not rows:
        return None
    probabilities = np.array([row[0] for row in rows], dtype=np.float64)
    outcomes = np.array([row[1] for row in rows], dtype=np.bool_)
    if outcomes.all() or not outcomes.any():
        return None
    metrics = judge(outcomes, probabilities)
    metrics |= {"churn_rate": float(outcomes.mean()), "mean_probability": float(probabilities.mean())}
    return Matured(model_id, snapshot_at, len(rows), metrics)
