"""Whether scores can still be trusted: inputs and scores beside training, and old scores beside what came."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection

from include.models.batches import INSTANT, ROWS_PER_BATCH, RowWriter, snapshot_features
from include.models.churn.inputs import CORE_VIEW, RECENCY
from include.models.scores.champion import Champion
from include.models.scores.distribution import Counts, null_share, population_stability_index
from include.models.scores.measurement import Measurement
from include.models.scores.reality import ACTIVE_WITHIN_DAYS, Matured, matured_runs
from include.models.scores.references import SCORE, Reference, references_of
from include.warehouse.connection import one_instant

logger = logging.getLogger(__name__)

REALITY = "reality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What counts as drift.

    :param psi: population stability index of an input or of the score.
    :param null_share: how much larger the share of nulls of an input may be than in training.
    :param auc_loss: how much lower the AUC may be than on the model's test rows.
    :param calibration_error: expected calibration error of scores beside what came.
    :param least_rows: with fewer customers nothing alerts; chance would.
    """

    psi: float = 0.25
    null_share: float = 0.1
    auc_loss: float = 0.05
    calibration_error: float = 0.1
    least_rows: int = 200


def monitor_scores(
    conn: Connection,
    champion: Champion,
    *,
    snapshot_at: datetime,
    now: datetime,
    storage: Path,
    thresholds: Thresholds | None = None,
    batch_rows: int = ROWS_PER_BATCH,
) -> list[Measurement]:
    """Measure the champion at `snapshot_at`, and every model on snapshots whose outcomes are known by then.

    Compared with training are the customers whom training is about: those who bought within the year. Every measurement
    goes into `ml.monitoring`; running again changes nothing that is the same. Each alert is a line of the log.

    :returns: the measurements that alert.
    :raises NoReference: the warehouse does not know what the champion was trained on.
    :raises TrainingSetLost: its training rows are gone, and were not counted before.
    """
    started = time.monotonic()
    limits = thresholds or Thresholds()
    with one_instant(conn):
        references = references_of(conn, champion, storage=storage)
        counts = _count(conn, champion, references, snapshot_at=snapshot_at, batch_rows=batch_rows)
        found = [*_beside_training(champion, references, counts, limits, snapshot_at=snapshot_at)]
        for matured in matured_runs(conn, until=snapshot_at):
            found += _beside_reality(conn, matured, limits)
        _write(conn, found, now=now)
    alerts = [each for each in found if each.is_alert]
    for alert in alerts:
        logger.warning("monitor_scores alert model_id=%s %s", alert.model_id, alert)
    logger.info(
        "monitor_scores snapshot=%s model_id=%s rows=%d measurements=%d alerts=%d seconds=%.2f",
        f"{snapshot_at:%Y-%m-%dT%H:%M:%SZ}", champion.kept.model_id, int(counts[SCORE].sum()), len(found), len(alerts),
        time.monotonic() - started,
    )  # fmt: skip
    return alerts


def _count(
    conn: Connection, champion: Champion, references: dict[str, Reference], *, snapshot_at: datetime, batch_rows: int
) -> dict[str, Counts]:
    """Rows per bin of each subject, batch by batch."""
    totals = {subject: np.zeros_like(each.counts) for subject, each in references.items()}
    for rows in snapshot_features(
        conn, champion.wanted, snapshot_at=snapshot_at, present=[CORE_VIEW], batch_rows=batch_rows
    ):
        if RECENCY in rows.column_names:
            rows = rows.filter(pc.less_equal(rows[RECENCY], ACTIVE_WITHIN_DAYS))
        scores = pa.chunked_array([pa.array(champion.model.probabilities(rows))])
        for subject, reference in references.items():
            totals[subject] += reference.binning.count(scores if subject == SCORE else rows[subject])
    return totals


def _beside_training(
    champion: Champion,
    references: dict[str, Reference],
    counts: dict[str, Counts],
    limits: Thresholds,
    *,
    snapshot_at: datetime,
) -> Iterator[Measurement]:
    for subject, reference in references.items():
        found = counts[subject]
        rows = int(found.sum())
        if not rows:
            continue
        before, share = null_share(reference.counts), null_share(found)
        index = population_stability_index(reference.counts, found)
        for metric, value, of_training, threshold in (
            ("psi", index, None, limits.psi),
            ("null_share", share, before, before + limits.null_share),
        ):
            yield Measurement(
                model_id=champion.kept.model_id, snapshot_at=snapshot_at, subject=subject, metric=metric, value=value,
                reference=of_training, threshold=threshold, row_count=rows,
                is_alert=rows >= limits.least_rows and value > threshold,
            )  # fmt: skip


def _beside_reality(conn: Connection, matured: Matured, limits: Thresholds) -> Iterator[Measurement]:
    tested: dict[str, float] = dict(
        conn.execute(
            "SELECT metric, value FROM ml.evaluations WHERE model_id = %s AND scorer = 'model'", (matured.model_id,)
        ).fetchall()
    )
    for metric, value in matured.metrics.items():
        reference, threshold, is_beyond = tested.get(metric), None, False
        if metric == "auc" and reference is not None:
            threshold = reference - limits.auc_loss
            is_beyond = value < threshold
        elif metric == "expected_calibration_error":
            threshold = limits.calibration_error
            is_beyond = value > threshold
        if np.isfinite(value):
            yield Measurement(
                model_id=matured.model_id, snapshot_at=matured.snapshot_at, subject=REALITY, metric=metric, value=value,
                reference=reference, threshold=threshold, row_count=matured.rows,
                is_alert=bool(matured.rows >= limits.least_rows and is_beyond),
            )  # fmt: skip


def _write(conn: Connection, found: list[Measurement], *, now: datetime) -> None:
    writer = RowWriter(
        conn,
        ("ml", "monitoring"),
        ("model_id", "snapshot_at", "subject", "metric"),
        ("value", "reference", "threshold", "is_alert", "row_count"),
        ("measured_at",),
    )
    if not found:
        return
    columns = {
        "model_id": pa.array([each.model_id for each in found]),
        "snapshot_at": pa.array([each.snapshot_at for each in found], INSTANT),
        "subject": pa.array([each.subject for each in found]),
        "metric": pa.array([each.metric for each in found]),
        "value": pa.array([each.value for each in found], pa.float64()),
        "reference": pa.array([each.reference for each in found], pa.float64()),
        "threshold": pa.array([each.threshold for each in found], pa.float64()),
        "is_alert": pa.array([each.is_alert for each in found]),
        "row_count": pa.array([each.row_count for each in found], pa.int64()),
        "measured_at": pa.array([now] * len(found), INSTANT),
    }
    writer.write(pa.table(columns))
