"""Recommendations beside popularity alone, on a window on which nothing was chosen; and the seconds of each step.

The shop is the simulator's; RECOMMENDATIONS_DATA=path takes a file in the layout of Online Retail instead.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.churn_shops import load_online_retail, load_simulated
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.entities.window import Window
from include.models.recommendations.evaluate import SEGMENTS, Evaluation, Metric, evaluate_candidates
from include.models.recommendations.publish import publish_recommendations
from include.models.recommendations.purchase_runs import build_candidates
from include.models.recommendations.ranking_metrics import METRICS
from include.warehouse.connection import connect_warehouse

CUSTOMERS = int(os.environ.get("RECOMMENDATIONS_CUSTOMERS", "1500"))
"""How many customers the simulated shop has."""
DATA = os.environ.get("RECOMMENDATIONS_DATA")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def run() -> list[Result]:
    """One line per segment for NDCG and hit rate, and one for the seconds; the whole table is printed beforehand."""
    with fresh_warehouse() as dsn, connect_warehouse(dsn) as conn, tempfile.TemporaryDirectory() as folder:
        data = (
            load_online_retail(conn, Path(DATA), now=NOW)
            if DATA
            else load_simulated(conn, customers=CUSTOMERS, seed=1, now=NOW)
        )
        window, storage, seconds = Window(data.start, data.end), Path(folder), {}
        started = time.monotonic()
        model_id = build_candidates(conn, window=window, storage=storage, now=NOW)
        seconds["build"] = time.monotonic() - started
        evaluation = evaluate_candidates(conn, model_id=model_id, storage=storage, now=NOW)
        seconds["evaluate"] = time.monotonic() - started - seconds["build"]
        publication = publish_recommendations(conn, model_id=model_id, storage=storage, now=NOW)
        seconds["publish"] = time.monotonic() - started - sum(seconds.values())
    print(*_table(evaluation), sep="\n")
    spent = ", ".join(f"{step} {value:.1f} s" for step, value in seconds.items())
    published = (
        f"{publication.recommendations:,} recommendations for {publication.customers:,} customers, "
        f"{publication.bought_together:,} rows of what is bought together"
    )
    return [
        *(_beside_popularity(evaluation, segment, metric) for segment in SEGMENTS for metric in ("ndcg", "hit_rate")),
        Result(
            name="models.recommendations_seconds",
            value=sum(seconds.values()),
            unit="s",
            against=f"nothing; {published}",
            detail=spent,
        ),
    ]


def _beside_popularity(evaluation: Evaluation, segment: str, metric: str) -> Result:
    found = _found(evaluation, segment, "blend", metric)
    popular = evaluation.value("test", segment, "popularity", metric)
    return Result(
        name=f"models.recommendations_{metric}_{segment}",
        value=found.value / popular if popular else float("inf"),
        unit="times",
        against=f"popularity alone, {found.customers:,} customers of the test window",
        goal="≥ 1",
        detail=(
            f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f}) against {popular:.4f}; "
            f"difference {found.over_popularity_low:+.4f} to {found.over_popularity_high:+.4f}"
        ),
    )


def _table(evaluation: Evaluation) -> list[str]:
    """Every metric of every method on the test window, and what was chosen before it."""
    lines = [f"chosen: {evaluation.choices.as_json()}", f"{evaluation.method}, because {evaluation.reason}"]
    metrics = (*METRICS, "coverage")
    methods = dict.fromkeys(each.method for each in evaluation.metrics)
    for segment in SEGMENTS:
        lines.append(f"{segment:16}" + "".join(f"{metric:>12}" for metric in metrics))
        for method in methods:
            figures = "".join(f"{_found(evaluation, segment, method, metric).value:12.4f}" for metric in metrics)
            lines.append(f"  {method:14}{figures}")
    return lines


def _found(evaluation: Evaluation, segment: str, method: str, metric: str) -> Metric:
    wanted = ("test", segment, method, metric)
    return next(each for each in evaluation.metrics if (each.split, each.segment, each.method, each.metric) == wanted)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for result in run():
        print(f"{result.name:45} {result.value:8.2f} {result.unit:6} against {result.against}\n{'':45} {result.detail}")
