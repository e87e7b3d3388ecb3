"""The application, put together from its parts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from psycopg_pool import AsyncConnectionPool
from starlette.exceptions import HTTPException

from include.models.registry.model_registry import ModelRegistry
from include.serving import problems
from include.serving.champion import ChampionWatch
from include.serving.features import CustomerFeatures
from include.serving.guard import Guard
from include.serving.key_ring import KeyRing
from include.serving.metrics import ApiMetrics
from include.serving.openapi import DESCRIPTION, describe
from include.serving.routes.churn import churn_routes
from include.serving.routes.customers import customer_routes
from include.serving.routes.products import product_routes
from include.serving.routes.upkeep import upkeep_routes
from include.serving.routes.value import value_routes
from include.serving.scoring import ChurnScoring
from include.serving.settings import ServingSettings
from include.serving.together import ChurnScorer
from include.warehouse.connection import WarehouseUnreachable


def build_app(
    settings: ServingSettings, *, registry: Callable[[], ModelRegistry], pool: AsyncConnectionPool
) -> FastAPI:
    """The API over a warehouse and a model registry. It starts without either and is ready when both are there.

    :param registry: connects to the model registry; called in a thread, until it succeeds once.
    :param pool: made by `serving_pool`; the application opens and closes it.
    """
    metrics = ApiMetrics()
    keys = KeyRing(pool, refresh_seconds=settings.key_seconds)
    features = CustomerFeatures(pool)
    scoring = ChurnScoring(features, clock=settings.clock, metrics=metrics)
    champions = ChampionWatch(
        registry, rehearse=scoring.rehearse, refresh_seconds=settings.champion_seconds, metrics=metrics
    )
    scorer = ChurnScorer(scoring, champions)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            tasks = [asyncio.create_task(each.keep_fresh()) for each in (keys, champions)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    app = FastAPI(
        title="Regulars", version="1", description=DESCRIPTION, lifespan=lifespan, redirect_slashes=False,
        redoc_url=None,
    )  # fmt: skip
    app.include_router(churn_routes(scorer, keys))
    app.include_router(customer_routes(pool, features, keys, clock=settings.clock))
    app.include_router(value_routes(pool, keys, clock=settings.clock))
    app.include_router(product_routes(pool, keys))
    app.include_router(upkeep_routes(pool, champions, metrics))
    answers: dict[type[Exception], Any] = {
        problems.ProblemError: problems.answer_problem,
        HTTPException: problems.answer_refusal,
        RequestValidationError: problems.answer_invalid,
        psycopg.OperationalError: problems.answer_unavailable,
        psycopg.InterfaceError: problems.answer_unavailable,
        WarehouseUnreachable: problems.answer_unavailable,
    }
    for error, answer in answers.items():
        app.add_exception_handler(error, answer)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    describe(app)
    return app
