"""How the models stand by the warehouse alone: versions, metrics beside baselines, drift, without the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from include.models.scores.measurement import Measurement

CHURN = "churn"


@dataclass(frozen=True, slots=True)
class ChurnVersion:
    """One churn model.

    :param window_start, window_end: the data it was trained on, `[start, end)` in UTC.
    :param registry_version: the number of its version in the registry; None from before there was one.
    :param status: trained, evaluated, champion, refused, retired or rolled_back; `status_reason` in words.
    :param test_rows: customers it was judged on, None before that.
    :param metrics: metric to value on the test rows, empty before it was judged.
    :param canaries: alarms of the search for leaks, in words.
    """

    model_id: str
    registry_version: str | None
    trained_at: datetime
    window_start: datetime
    window_end: datetime
    training_row_count: int
    status: str
    status_reason: str
    status_at: datetime
    test_rows: int | None
    metrics: Mapping[str, float]
    canaries: Sequence[str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric of one scorer (`model`, a baseline, or the champion before) on the test rows of one model."""

    model_id: str
    evaluated_at: datetime
    scorer: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Backtest:
    """A candidate, trained on what was known by an earlier snapshot and judged on it."""

    snapshot_on: date
    candidate: str
    row_count: int
    churn_rate: float
    auc: float
    log_loss: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class AliasChange:
    """Another model became champion."""

    set_at: datetime
    model_id: str
    previous_model_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class LifetimeFit:
    """A fit of lifetime value; it speaks of the days from `snapshot_at` on."""

    lifetime_model_id: str
    snapshot_at: datetime
    horizon_days: float
    customer_count: int
    returned_count: int
    correlation: float | None
    parameters_at_bound: Sequence[str]
    fitted_at: datetime


@dataclass(frozen=True, slots=True)
class RecommendationRun:
    """Recommendations of one set of purchases.

    :param hits: method to hit rate at 10 on the test window, and the two ends of its 95 % interval.
    """

    model_id: str
    as_of: datetime
    status: str
    method: str | None
    method_reason: str | None
    customer_count: int
    product_count: int
    published_at: datetime | None
    hits: Mapping[str, Sequence[float]]


def churn_versions(conn: Connection, *, limit: int = 30) -> list[ChurnVersion]:
    """The champion, then the others, those trained last first."""
    rows = conn.execute(
        """
        SELECT
            model_id, registry_version, trained_at, window_start, window_end, training_row_count, status,
            status_reason, status_at, (metrics ->> 'test_rows')::bigint, coalesce(metrics -> 'model', '{}'),
            coalesce(metrics -> 'canaries', '[]')
        FROM ml.models
        WHERE name = %s
        ORDER BY status = 'champion' DESC, trained_at DESC, model_id
        LIMIT %s
        """,
        (CHURN, limit),
    ).fetchall()
    return [ChurnVersion(*row) for row in rows]


def judged_scorers(conn: Connection, metrics: Sequence[str], *, limit: int = 60) -> list[Judged]:
    """What the models that were judged last, at most `limit`, and their rivals reached; oldest first."""
    rows = conn.execute(
        """
        SELECT evaluations.model_id, judged.evaluated_at, evaluations.scorer, evaluations.metric, evaluations.value
        FROM (
            SELECT model_id, evaluated_at FROM ml.models
            WHERE name = %(name)s AND evaluated_at IS NOT NULL
            ORDER BY evaluated_at DESC, model_id LIMIT %(limit)s
        ) AS judged
        INNER JOIN ml.evaluations ON judged.model_id = evaluations.model_id
        WHERE evaluations.metric = ANY(%(metrics)s)
        ORDER BY judged.evaluated_at, evaluations.model_id, evaluations.scorer, evaluations.metric
        """,
        {"name": CHURN, "limit": limit, "metrics": list(metrics)},
    ).fetchall()
    return [Judged(*row) for row in rows]


def backtests_of(conn: Connection, model_id: str) -> list[Backtest]:
    """How the candidates for a model did at earlier snapshots, oldest first."""
    rows = conn.execute(
        """
        SELECT snapshot_on, candidate, row_count, churn_rate, auc, log_loss, calibration_error
        FROM ml.churn_backtests WHERE model_id = %s ORDER BY snapshot_on, candidate
        """,
        (model_id,),
    ).fetchall()
    return [Backtest(*row) for row in rows]


def drift_of(conn: Connection, *, snapshots: int = 60) -> list[Measurement]:
    """What was measured at the newest snapshots of all models, oldest first."""
    rows = conn.execute(
        """
        SELECT model_id, snapshot_at, subject, metric, value, reference, threshold, is_alert, row_count
        FROM ml.monitoring
        WHERE snapshot_at >= (
            SELECT min(snapshot_at) FROM (
                SELECT DISTINCT snapshot_at FROM ml.monitoring ORDER BY snapshot_at DESC LIMIT %s
            ) AS newest
        )
        ORDER BY snapshot_at, model_id, subject, metric
        """,
        (snapshots,),
    ).fetchall()
    return [Measurement(*row) for row in rows]


def champion_changes(conn: Connection, *, limit: int = 30) -> list[AliasChange]:
    """Each time that another churn model became champion, the last first."""
    rows = conn.execute(
        """
        SELECT set_at, model_id, previous_model_id, reason FROM ml.alias_changes
        WHERE alias = %s ORDER BY alias_change_id DESC LIMIT %s
        """,
        (f"{CHURN}_champion", limit),
    ).fetchall()
    return [AliasChange(*row) for row in rows]


def churn_report(conn: Connection, model_id: str) -> dict[str, Any] | None:
    """The report on a model, its keys as docs/churn.md explains them; None if it was not judged."""
    row = conn.execute("SELECT report FROM ml.churn_reports WHERE model_id = %s", (model_id,)).fetchone()
    return row[0] if row else None


def churn_report_page(conn: Connection, model_id: str) -> str | None:
    """The same as a page of HTML that needs nothing else."""
    row = conn.execute("SELECT page FROM ml.churn_reports WHERE model_id = %s", (model_id,)).fetchone()
    return row[0] if row else None


def lifetime_fits(conn: Connection, *, limit: int = 12) -> list[LifetimeFit]:
    """The newest fits first."""
    rows = conn.execute(
        """
        SELECT
            lifetime_model_id, snapshot_at, horizon_days, customer_count, returned_count, correlation,
            parameters_at_bound, fitted_at
        FROM ml.lifetime_models ORDER BY snapshot_at DESC, fitted_at DESC LIMIT %s
        """,
        (limit,),
    ).fetchall()
    return [LifetimeFit(*row) for row in rows]


def recommendation_runs(conn: Connection, *, limit: int = 12) -> list[RecommendationRun]:
    """The newest runs first."""
    rows = conn.execute(
        """
        SELECT
            runs.model_id, runs.as_of, runs.status, runs.method, runs.method_reason, runs.customer_count,
            runs.product_count, runs.published_at,
            coalesce((
                SELECT jsonb_object_agg(metrics.method, jsonb_build_array(metrics.value, metrics.low, metrics.high))
                FROM ml.recommendation_metrics AS metrics
                WHERE
                    metrics.model_id = runs.model_id AND metrics.split = 'test' AND metrics.segment = 'all'
                    AND metrics.metric = 'hit_rate'
            ), '{}')
        FROM ml.recommendation_runs AS runs
        ORDER BY runs.as_of DESC, runs.built_at DESC
        LIMIT %s
        """,
        (limit,),
    ).fetchall()
    return [RecommendationRun(*row) for row in rows]
