"""For those who keep the API running: is it alive, is it ready, what did it count. No key is needed."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from psycopg_pool import AsyncConnectionPool
from starlette.responses import PlainTextResponse, Response

from include.serving.answers import Health, Readiness
from include.serving.champion import ChampionWatch
from include.serving.metrics import ApiMetrics
from include.serving.problems import of_upkeep
from include.serving.routes.json import json_of
from include.serving.warehouse import fetch


def upkeep_routes(pool: AsyncConnectionPool, champions: ChampionWatch, metrics: ApiMetrics) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["upkeep"])

    @router.get("/healthz", summary="Is the process alive", response_model=Health, responses=of_upkeep())
    async def healthz() -> Response:
        """Yes, if it answers; restart it if it does not."""
        return json_of(Health())

    @router.get("/readyz", summary="Can requests be answered", response_model=Readiness, responses=of_upkeep(503))
    async def readyz() -> Response:
        """If the warehouse answers and a churn model is loaded; otherwise 503 says which of them is not so."""
        await fetch(pool, "SELECT 1 AS one")
        champions.current  # noqa: B018  # raises if there is none
        return json_of(Readiness())

    @router.get(
        "/metrics", summary="Counts of this process, for Prometheus", response_class=PlainTextResponse,
        responses=of_upkeep(),
    )  # fmt: skip
    async def api_metrics() -> Response:
        """Requests by path and status, how long they took, the model in use, and how old its features are."""
        return Response(metrics.as_text(), media_type=CONTENT_TYPE_LATEST)

    return router
