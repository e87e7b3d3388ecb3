"""Judge a churn model on its test rows, beside its baselines and the champion."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from include.features.history.historical import get_historical_features
from include.models.churn.baselines import BASELINES, fit_baseline
from include.models.churn.canaries import look_for_leaks
from include.models.churn.candidates import LabelledRows
from include.models.churn.card import model_card
from include.models.churn.columns import Vector
from include.models.churn.model import ChurnModel
from include.models.churn.page import page_of
from include.models.churn.report import Campaign, figures
from include.models.churn.train import NAME
from include.models.churn.training_set import read_training_rows
from include.models.index import registry_version
from include.models.metrics import CalibrationBin, bootstrap, calibration, judge
from include.models.registry.errors import ModelMissing
from include.models.registry.model_registry import CARD, ModelRegistry, ModelVersion

logger = logging.getLogger(__name__)

REPORT, PAGE = "report.json", "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How a model did on its test rows.

    :param scores: scorer (`model`, those of `BASELINES` and, if there is another one, `champion`) to metric to value.
    :param champion_id: the model scored as `champion`.
    :param intervals: scorer to metric to the two ends of the middle 95 %, by drawing customers anew.
    :param differences: other scorer to metric to the two ends of the model's metric minus its own, on the same draws.
    :param canaries: alarms of the search for leaks, in words.
    """

    model_id: str
    test_rows: int
    churn_rate: float
    training_churn_rate: float
    scores: dict[str, dict[str, float]]
    champion_id: str | None
    intervals: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    differences: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    canaries: list[str] = field(default_factory=list)


def evaluate(
    conn: Connection,
    registry: ModelRegistry,
    *,
    model_id: str,
    storage: Path,
    now: datetime,
    campaign: Campaign | None = None,
) -> Evaluation:
    """Score the test rows with the model, its baselines and the champion in use; keep every metric and the report.

    :param campaign: the terms for which the report says what a campaign would bring.
    :raises ModelMissing: there is no such model.
    :raises ArtefactDamaged: an artefact is not what was stored.
    :raises TrainingSetLost: the training set's file is gone or changed.
    :raises RegistryUnreachable: MLflow does not answer.
    """
    started = time.monotonic()
    with conn.transaction():
        kept = registry.version(NAME, registry_version(conn, model_id))
        recipe = _recipe(conn, model_id)
        training, test = map(
            LabelledRows, read_training_rows(conn, training_set_id=recipe["training_set_id"], storage=storage)
        )
        model = loaded(registry, kept.version)
        probabilities = {"model": model.probabilities(test.table)}
        for name in BASELINES:
            baseline = fit_baseline(name, training, horizon_days=model.horizon_days)
            probabilities[name] = baseline.probabilities(test.table)
        champion = _champion_besides(registry, model_id)
        if champion is not None:
            own = loaded(registry, champion.version)
            probabilities["champion"] = own.probabilities(rows_for(conn, own, model, test.table))
        evaluation, report = judged(
            model, training, test, probabilities, model_id=model_id,
            champion_id=champion.model_id if champion else None, campaign=campaign or Campaign(),
            seed=recipe["parameters"].get("seed", 0),
        )  # fmt: skip
        report |= {"test_at": recipe["test_at"].isoformat(), "parameters": recipe["parameters"]}
        report["backtest"] = _backtest(conn, model_id)
        page, card = page_of(report), _card(evaluation, recipe, kept)
        bins = {name: calibration(test.outcomes, own) for name, own in probabilities.items()}
        _store(conn, evaluation, bins, now=now)
        _store_report(conn, model_id, report, page, now=now)
        registry.add(
            kept,
            metrics={
                f"{name}.{metric}": value for name, of in evaluation.scores.items() for metric, value in of.items()
            },
            files={REPORT: json.dumps(report, indent=1).encode(), PAGE: page.encode(), CARD: card.encode()},
        )
    for name, metrics in evaluation.scores.items():
        logger.info(
            "evaluate_churn model_id=%s scorer=%s test_rows=%d churn_rate=%.4f %s seconds=%.2f",
            model_id, name, evaluation.test_rows, evaluation.churn_rate,
            " ".join(f"{metric}={value:.4f}" for metric, value in metrics.items()), time.monotonic() - started,
        )  # fmt: skip
    return evaluation


def _champion_besides(registry: ModelRegistry, model_id: str) -> ModelVersion | None:
    """The champion in use, unless it is the model itself."""
    champion = registry.holder_of(NAME)
    return champion if champion is not None and champion.model_id != model_id else None


def _card(evaluation: Evaluation, recipe: dict[str, Any], kept: ModelVersion) -> str:
    return model_card(
        model_id=kept.model_id, parameters=recipe["parameters"], training_set=recipe,
        feature_views=kept.tags["feature_views"].split(), libraries=recipe["libraries"],
        scores=evaluation.scores, canaries=evaluation.canaries,
    )  # fmt: skip


def judged(
    model: ChurnModel,
    training: LabelledRows,
    test: LabelledRows,
    probabilities: dict[str, Vector],
    *,
    model_id: str,
    champion_id: str | None,
    campaign: Campaign,
    seed: int,
) -> tuple[Evaluation, dict[str, Any]]:
    """The evaluation and the report of what scorers said about the test rows; `model` is the first of them."""
    outcomes = test.outcomes
    own, differences = bootstrap(outcomes, probabilities, test.customers, seed=seed)
    evaluation = Evaluation(
        model_id=model_id,
        test_rows=len(test),
        churn_rate=float(outcomes.mean()),
        training_churn_rate=float(training.outcomes.mean()),
        scores={name: judge(outcomes, scored) for name, scored in probabilities.items()},
        champion_id=champion_id,
        intervals={name: {metric: [each.low, each.high] for metric, each in of.items()} for name, of in own.items()},
        differences={
            name: {metric: [each.low, each.high] for metric, each in of.items()} for name, of in differences.items()
        },
        canaries=look_for_leaks(training, test, horizon_days=model.horizon_days, seed=seed),
    )
    report = asdict(evaluation) | figures(model, training, test, probabilities, campaign=campaign, seed=seed)
    return evaluation, report


def loaded(registry: ModelRegistry, version: str) -> ChurnModel:
    """A registered churn model.

    :raises ModelMissing: what is registered there is no churn model of this kind.
    """
    found = registry.load(NAME, version)
    if not isinstance(found, ChurnModel):
        raise ModelMissing(f"Version {version} of {NAME} is a {type(found).__name__}, no ChurnModel. Train it anew.")
    return found


def rows_for(conn: Connection, champion: ChurnModel, model: ChurnModel, rows: pa.Table) -> pa.Table:
    """The rows with the features as `champion` learnt them; joined anew if it reads other versions of views."""
    if set(champion.wanted) <= set(model.wanted):
        return rows
    spine = rows.select(["customer_id", "at"])
    return get_historical_features(conn, spine, champion.wanted, timestamp_column="at").to_arrow()


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


def _recipe(conn: Connection, model_id: str) -> dict[str, Any]:
    """What is known of a model and its training set."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            """
            SELECT training_sets.*, models.libraries
            FROM ml.models INNER JOIN ml.training_sets USING (training_set_id) WHERE model_id = %s
            """,
            (model_id,),
        ).fetchone()
    assert row is not None
    return row


def _backtest(conn: Connection, model_id: str) -> list[dict[str, Any]]:
    """The figures of `ml.churn_backtests`, oldest first."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT * FROM ml.churn_backtests WHERE model_id = %s ORDER BY snapshot_on, candidate", (model_id,)
        ).fetchall()
    return [row | {"snapshot_on": row["snapshot_on"].isoformat()} for row in rows]


def _store_report(conn: Connection, model_id: str, report: dict[str, Any], page: str, *, now: datetime) -> None:
    conn.execute(
        """
        INSERT INTO ml.churn_reports AS known (model_id, report, page, written_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT (model_id) DO UPDATE
        SET report = excluded.report, page = excluded.page, written_at = excluded.written_at
        WHERE known.report <> excluded.report OR known.page <> excluded.page
        """,
        (model_id, Jsonb(report), page, now),
    )


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
