"""Models: the champion and the candidates, how they do beside baselines over time, and drift."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import HTMLResponse

from dashboard.pages import models_charts as charts
from dashboard.registry_answer import AskedRegistry
from dashboard.shell import HEADERS, BadQuestion, NotThere, Page, WarehouseConnection, show
from include.models import standing

REPORTED = ("auc", "average_precision", "lift_at_10_percent", "brier", "expected_calibration_error")

page = Page(name="models", title="Models", place=4)
registry = AskedRegistry()


@page.router.get("/models")
def models(
    request: Request, conn: WarehouseConnection, metric: Annotated[str, Query(max_length=60)] = "auc"
) -> Response:
    """All that the warehouse knows of models; the registry is asked by the page afterwards.

    :param metric: of the chart over time.
    """
    if metric not in charts.METRICS:
        raise BadQuestion(f"There is no metric {metric!r}. There are: {', '.join(charts.METRICS)}.")
    versions = standing.churn_versions(conn)
    champion = next((each for each in versions if each.status == "champion"), None)
    judged = standing.judged_scorers(conn, list(charts.METRICS))
    drift = standing.drift_of(conn)
    alerts = [each for each in drift if each.is_alert and each.snapshot_at == drift[-1].snapshot_at]
    runs = standing.recommendation_runs(conn)
    return show(
        request, page, "models.html",
        versions=versions, champion=champion, metric=metric, metrics=charts.METRICS, reported=REPORTED,
        rivals={(each.scorer, each.metric): each.value for each in judged if champion and
                each.model_id == champion.model_id and each.scorer != "model"},
        scorers=charts.SCORERS, metric_chart=charts.metric_chart(judged, metric),
        backtest=charts.backtest_chart(standing.backtests_of(conn, champion.model_id)) if champion else None,
        drift=charts.drift_chart(drift, drift[-1].model_id) if drift else None, alerts=alerts,
        measured_at=drift[-1].snapshot_at if drift else None, reality=charts.reality_chart(drift),
        changes=standing.champion_changes(conn), fits=standing.lifetime_fits(conn), runs=runs,
        hits=charts.recommendations_chart(runs),
    )  # fmt: skip


@page.router.get("/models/report")
def report(conn: WarehouseConnection, model_id: Annotated[str, Query(max_length=100)]) -> Response:
    """The whole report on one churn model, as it was written when the model was judged."""
    text = standing.churn_report_page(conn, model_id)
    if text is None:
        raise NotThere(f"There is no report on {model_id!r}. The DAG churn_model writes one when it evaluates a model.")
    return HTMLResponse(text, headers=HEADERS)


@page.router.get("/models/registry")
def asked_registry(request: Request, conn: WarehouseConnection) -> Response:
    """What the registry says beside the warehouse's index: a part of the page, fetched when the page is there."""
    indexed = {each.model_id: each for each in standing.churn_versions(conn)}
    conn.rollback()  # No transaction is held open while the registry is waited for.
    return show(
        request, page, "models_registry.html", answer=registry.versions(standing.CHURN), indexed=indexed,
    )  # fmt: skip
