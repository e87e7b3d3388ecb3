"""Choose on the validation windows, judge on the test window after them, and keep both beside popularity."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from psycopg import Connection
from psycopg.types.json import Jsonb

from include.models.recommendations.blend import ALONE, SOURCES, Weights
from include.models.recommendations.choices import Choices, Cut, Judged, candidates_at, choose
from include.models.recommendations.parameters import RecommendationParameters
from include.models.recommendations.purchase_runs import Run, read_run
from include.models.recommendations.purchases import Floats, History, Numbers
from include.models.recommendations.ranking_metrics import METRICS, bootstrap, coverage
from include.models.recommendations.windows import judged_windows, outcome_of

logger = logging.getLogger(__name__)

SEGMENTS = ("all", "new_to_customer")


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure with its 95 % interval, and how far it is above popularity's, with the interval of that.

    Intervals are None for coverage.
    """

    split: str
    segment: str
    method: str
    metric: str
    customers: int
    value: float
    low: float | None = None
    high: float | None = None
    over_popularity: float | None = None
    over_popularity_low: float | None = None
    over_popularity_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was chosen, why, and how good it is.

    :param method: `blend`, or `popularity` where the blend did not beat it on the validation windows.
    """

    model_id: str
    method: str
    reason: str
    choices: Choices
    metrics: tuple[Metric, ...]

    def value(self, split: str, segment: str, method: str, metric: str) -> float:
        """One figure.

        :raises KeyError: it was not measured.
        """
        for each in self.metrics:
            if (each.split, each.segment, each.method, each.metric) == (split, segment, method, metric):
                return each.value
        raise KeyError(f"{split} {segment} {method} {metric} was not measured for {self.model_id}")


def evaluate_candidates(conn: Connection, *, model_id: str, storage: Path, now: datetime) -> Evaluation:
    """Decide between blend and popularity by windows that end before the test window; judge all on the test window.

    :raises RunMissing: there is no such run.
    :raises TrainingSetLost: its file is missing or changed.
    """
    started = time.monotonic()
    with conn.transaction():
        run = read_run(conn, model_id, storage=storage)
        windows = judged_windows(conn, as_of=run.as_of, parameters=run.parameters)
        validation = {
            window: cut
            for window in windows.validation
            if (cut := outcome_of(run.purchases, window, parameters=run.parameters))
        }
        test = outcome_of(run.purchases, windows.test, parameters=run.parameters) if windows.test else None
        evaluation = _evaluated(run, list(validation.values()), test)
        starts = [window.start for window in validation]
        test_at = windows.test.start if windows.test and test else None
        _store(conn, evaluation, validation_at=starts or None, test_at=test_at, now=now)
    _log(evaluation, seconds=time.monotonic() - started)
    return evaluation


def _evaluated(run: Run, validation: Sequence[Cut], test: Cut | None) -> Evaluation:
    parameters = run.parameters
    choices, judged = choose(validation, parameters=parameters) if validation else (Choices(), [])
    metrics = _metrics("validation", judged, choices, parameters) if judged else []
    method, reason = _decided(metrics, parameters)
    if test:
        metrics += _metrics("test", [candidates_at(test, choices, parameters=parameters)], choices, parameters)
    return Evaluation(model_id=run.model_id, method=method, reason=reason, choices=choices, metrics=tuple(metrics))


def _decided(metrics: Sequence[Metric], parameters: RecommendationParameters) -> tuple[str, str]:
    found = [each for each in metrics if (each.segment, each.method, each.metric) == ("all", "blend", "ndcg")]
    if not found:
        return "popularity", (
            f"no window of {parameters.horizon_days} days before the last one was loaded without a gap and has "
            f"{parameters.least_customers} customers who bought before it and in it, so nothing could be compared"
        )
    blend = found[0]
    assert blend.over_popularity is not None and blend.over_popularity_low is not None
    figures = (
        f"ndcg {blend.value:.4f} against {blend.value - blend.over_popularity:.4f} of popularity on the validation "
        f"windows, difference {blend.over_popularity_low:+.4f} to {blend.over_popularity_high:+.4f}"
    )
    if blend.over_popularity_low > 0:
        return "blend", f"it beats popularity: {figures}"
    return "popularity", f"the blend does not beat popularity: {figures}"


def _metrics(
    split: str, judged: Sequence[Judged], choices: Choices, parameters: RecommendationParameters
) -> list[Metric]:
    """All metrics of all methods, over the customers of all cuts."""
    could_be = len(np.unique(np.concatenate([each.history.product_ids for each in judged])))
    methods: dict[str, Weights] = {"popularity": ALONE["popularity"], "blend": choices.weights} | {
        name: ALONE[name] for name in SOURCES if name != "popularity"
    }
    metrics: list[Metric] = []
    for segment in SEGMENTS:
        new_only, popular = segment == "new_to_customer", None
        for method, weights in methods.items():
            found = [each.values(weights, new_only=new_only) for each in judged]
            values = np.concatenate([each for _, each in found])
            if not len(values):
                continue
            popular = values if popular is None else popular
            metrics += _figures(split, segment, method, values, values - popular, parameters)
            listed = [_ids(each.history, lists) for each, (lists, _) in zip(judged, found, strict=True)]
            covered = coverage(np.concatenate(listed), products=could_be)
            metrics.append(Metric(split, segment, method, "coverage", len(values), covered))
    return metrics


def _figures(
    split: str, segment: str, method: str, values: Floats, over: Floats, parameters: RecommendationParameters
) -> list[Metric]:
    low, high = bootstrap(np.column_stack([values, over]), resamples=parameters.resamples, seed=parameters.seed)
    means, differences, count = values.mean(axis=0), over.mean(axis=0), len(METRICS)
    return [
        Metric(
            split, segment, method, metric, len(values), float(means[n]), float(low[n]), float(high[n]),
            float(differences[n]), float(low[count + n]), float(high[count + n]),
        )
        for n, metric in enumerate(METRICS)
    ]  # fmt: skip


def _ids(history: History, lists: Numbers) -> Numbers:
    return np.where(lists >= 0, history.product_ids[np.maximum(lists, 0)], -1)


def _store(
    conn: Connection,
    evaluation: Evaluation,
    *,
    validation_at: list[datetime] | None,
    test_at: datetime | None,
    now: datetime,
) -> None:
    conn.execute(
        """
        UPDATE ml.recommendation_runs
        SET
            method = %(method)s, method_reason = %(reason)s, choices = %(choices)s,
            validation_at = %(validation_at)s::timestamptz[], test_at = %(test_at)s, evaluated_at = %(now)s,
            status = CASE status WHEN 'built' THEN 'evaluated' ELSE status END
        WHERE
            model_id = %(model_id)s
            AND (method, method_reason, choices, validation_at, test_at)
            IS DISTINCT FROM (%(method)s, %(reason)s, %(choices)s, %(validation_at)s::timestamptz[], %(test_at)s)
        """,
        {
            "method": evaluation.method, "reason": evaluation.reason, "choices": Jsonb(evaluation.choices.as_json()),
            "validation_at": validation_at, "test_at": test_at, "now": now, "model_id": evaluation.model_id,
        },
    )  # fmt: skip
    rows = [
        (
            evaluation.model_id, m.split, m.segment, m.method, m.metric, m.customers, m.value, m.low, m.high,
            m.over_popularity, m.over_popularity_low, m.over_popularity_high,
        )
        for m in evaluation.metrics
    ]  # fmt: skip
    kept = conn.execute(
        "SELECT * FROM ml.recommendation_metrics WHERE model_id = %s", (evaluation.model_id,)
    ).fetchall()
    if sorted(kept) == sorted(rows):
        return
    conn.execute("DELETE FROM ml.recommendation_metrics WHERE model_id = %s", (evaluation.model_id,))
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ml.recommendation_metrics VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows
        )


def _log(evaluation: Evaluation, *, seconds: float) -> None:
    """One line with what counts most: what was chosen, and both segments of the test beside popularity."""
    found = {(m.segment, m.method, m.metric): m for m in evaluation.metrics if m.split == "test"}
    shown = " ".join(
        f"{segment}_{metric}_{method}={found[segment, method, metric].value:.4f}"
        for segment in SEGMENTS
        for metric in (*METRICS, "coverage")
        for method in ("blend", "popularity")
        if (segment, method, metric) in found
    )
    customers = max((m.customers for m in found.values()), default=0)
    weights = ",".join(f"{name}:{weight:g}" for name, weight in zip(SOURCES, evaluation.choices.weights, strict=True))
    logger.info(
        "evaluate_candidates model_id=%s method=%s reason=%r half_life_days=%g similarity=%s weights=%s "
        "test_customers=%d %s seconds=%.2f",
        evaluation.model_id, evaluation.method, evaluation.reason, evaluation.choices.half_life_days,
        evaluation.choices.similarity, weights, customers, shown or "test=too_few_customers", seconds,
    )  # fmt: skip
