"""Judge a churn model on its test rows, beside its baselines and the champion."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from include.models.churn.pipeline import inputs
from include.models.churn.train import NAME
from include.models.churn.training_set import read_training_set
from include.models.index import registry_version
from include.models.metrics import CalibrationBin, calibration, judge
from include.models.registry.errors import ModelMissing
from include.models.registry.model_registry import ModelRegistry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a model did on its test rows.

    :param scores: scorer (`model`, `recency_only`, `rfm_score` and, if there is another one, `champion`) to metric
        to value.
    :param champion_id: the model scored as `champion`.
    """

    model_id: str
    test_rows: int
    churn_rate: float
    training_churn_rate: float
    scores: dict[str, dict[str, float]]
    champion_id: str | None


def evaluate(conn: Connection, registry: ModelRegistry, *, model_id: str, storage: Path, now: datetime) -> Evaluation:
    """Score the test rows with the model, its baselines and the champion in use, and keep every metric.

    :raises ModelMissing: there is no such model.
    :raises ArtefactDamaged: an artefact is not what was stored.
    :raises TrainingSetLost: the training set's file is gone or changed.
    :raises RegistryUnreachable: MLflow does not answer.
    """
    started = time.monotonic()
    with conn.transaction():
        kept = registry.version(NAME, registry_version(conn, model_id))
        training, test = read_training_set(conn, training_set_id=kept.tags["training_set_id"], storage=storage)
        scorers: dict[str, Any] = dict(registry.load(NAME, kept.version))  # type: ignore[call-overload]
        champion, champion_id = registry.holder_of(NAME), None
        if champion is not None and champion.model_id != model_id:
            scorers["champion"] = registry.load(NAME, champion.version)["model"]  # type: ignore[index]
            champion_id = champion.model_id
        outcomes = test["is_churned"].to_numpy(dtype=bool)
        probabilities = {name: scorer.predict_proba(inputs(test))[:, 1] for name, scorer in scorers.items()}
        evaluation = Evaluation(
            model_id=model_id,
            test_rows=len(test),
            churn_rate=float(outcomes.mean()),
            training_churn_rate=float(training["is_churned"].mean()),
            scores={name: judge(outcomes, scored) for name, scored in probabilities.items()},
            champion_id=champion_id,
        )
        bins = {name: calibration(outcomes, np.asarray(scored)) for name, scored in probabilities.items()}
        _store(conn, evaluation, bins, now=now)
        registry.add(
            kept,
            metrics={
                f"{name}.{metric}": value for name, of in evaluation.scores.items() for metric, value in of.items()
            },
            files={},
        )
    for name, metrics in evaluation.scores.items():
        logger.info(
            "evaluate_churn model_id=%s scorer=%s test_rows=%d churn_rate=%.4f %s seconds=%.2f",
            model_id, name, evaluation.test_rows, evaluation.churn_rate,
            " ".join(f"{metric}={value:.4f}" for metric, value in metrics.items()), time.monotonic() - started,
        )  # fmt: skip
    return evaluation


def read_evaluation(conn: Connection, model_id: str) -> Evaluation:
    """The newest evaluation of a model.

    :raises ModelMissing: there is no such model, or it was not evaluated.
    """
    row = conn.execute(
        "SELECT metrics, baselines FROM ml.models WHERE model_id = %s AND metrics IS NOT NULL", (model_id,)
    ).fetchone()
    if row is None:
        raise ModelMissing(f"There is no evaluated model {model_id!r} in ml.models. Run evaluate first.")
    metrics: dict[str, Any] = row[0]
    return Evaluation(scores={"model": metrics.pop("model")} | row[1], model_id=model_id, **metrics)


def _store(conn: Connection, evaluation: Evaluation, bins: dict[str, list[CalibrationBin]], *, now: datetime) -> None:
    """Write what is new or differs; scorers of an earlier evaluation (a former champion) stay on record."""
    baselines = {name: metrics for name, metrics in evaluation.scores.items() if name != "model"}
    metrics = asdict(evaluation) | {"model": evaluation.scores["model"]}
    del metrics["scores"], metrics["model_id"]
    conn.execute(
        """
        UPDATE ml.models
        SET
            metrics = %(metrics)s, baselines = %(baselines)s, evaluated_at = %(now)s,
            status = CASE status WHEN 'trained' THEN 'evaluated' ELSE status END,
            status_reason = CASE status WHEN 'trained' THEN 'not decided yet' ELSE status_reason END
        WHERE model_id = %(model_id)s AND (metrics, baselines) IS DISTINCT FROM (%(metrics)s, %(baselines)s)
        """,
        {"metrics": Jsonb(metrics), "baselines": Jsonb(baselines), "now": now, "model_id": evaluation.model_id},
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO ml.evaluations AS known (model_id, scorer, metric, value) VALUES (%s, %s, %s, %s)
            ON CONFLICT (model_id, scorer, metric) DO UPDATE SET value = excluded.value
            WHERE known.value <> excluded.value
            """,
            [
                (evaluation.model_id, scorer, metric, value)
                for scorer, values in evaluation.scores.items()
                for metric, value in values.items()
            ],
        )
        cursor.execute(
            "DELETE FROM ml.calibration_bins WHERE model_id = %s AND scorer = ANY(%s)",
            (evaluation.model_id, list(bins)),
        )
        cursor.executemany(
            "INSERT INTO ml.calibration_bins VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (evaluation.model_id, scorer, b.number, b.row_count, b.mean_probability, b.observed_rate)
                for scorer, scorer_bins in bins.items()
                for b in scorer_bins
            ],
        )
