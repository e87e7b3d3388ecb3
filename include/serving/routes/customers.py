"""What is known of a customer: features and recommendations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from psycopg_pool import AsyncConnectionPool
from starlette.responses import Response

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.on_demand import ON_DEMAND_FEATURES
from include.features.definitions.selection import NOT_FOUND
from include.features.registry import FEATURE_VIEWS
from include.models.recommendations.reads import RECOMMENDATIONS_SQL
from include.serving.answers import FeaturesAnswer, FeatureValue, RecommendationsAnswer, RecommendedProduct
from include.serving.features import CustomerFeatures, ages_of
from include.serving.key_ring import KeyRing
from include.serving.problems import ProblemError, documented
from include.serving.routes.churn import CustomerId
from include.serving.routes.json import json_of
from include.serving.warehouse import fetch

MOST_PRODUCTS = 50
Limit = Annotated[int, Query(ge=1, le=MOST_PRODUCTS, description="So many at most.")]
_VIEWS = [name for name, view in FEATURE_VIEWS.items() if view.entity == CUSTOMER]
_WANTED = [
    *_VIEWS,
    *(
        name
        for name, feature in ON_DEMAND_FEATURES.items()
        if {each.partition(":")[0] for each in feature.inputs} <= set(_VIEWS)
    ),
]
_IS_KNOWN = """
SELECT
    EXISTS (SELECT 1 FROM shop.customers WHERE customers.customer_id = %(customer_id)s)
    OR EXISTS (SELECT 1 FROM shop.orders WHERE orders.customer_id = %(customer_id)s) AS is_known
"""


def customer_routes(
    pool: AsyncConnectionPool, features: CustomerFeatures, keys: KeyRing, *, clock: Callable[[], datetime]
) -> APIRouter:
    """Each needs a scope of its own: `features:read`, `recommendations:read`."""
    router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["customers"])

    @router.get(
        "/features",
        summary="All features of a customer",
        response_model=FeaturesAnswer,
        responses=documented(404),
        dependencies=[Depends(keys.needing("features:read"))],
    )
    async def customer_features(customer_id: CustomerId) -> Response:
        """Those of every view, and those computed at the instant of the request, with statuses and times."""
        response = await features.read(_WANTED, [customer_id], at=clock())
        (views,) = ages_of(response)
        if all(view.status == NOT_FOUND for view in views.values()):
            raise ProblemError(404, "unknown-customer", "Nothing is known of this customer.")
        values, statuses, instants = response.to_dict(), response.statuses, response.event_timestamps
        return json_of(
            FeaturesAnswer.model_construct(
                customer_id=customer_id,
                features={
                    name: FeatureValue.model_construct(value=values[name][0], status=status, event_at=instants[name][0])
                    for name, (status,) in statuses.items()
                },
                views=views,
                at=response.at,
            )
        )

    @router.get(
        "/recommendations",
        summary="What to show a customer",
        response_model=RecommendationsAnswer,
        responses=documented(404),
        dependencies=[Depends(keys.needing("recommendations:read"))],
    )
    async def recommendations(customer_id: CustomerId, limit: Limit = 10) -> Response:
        """Products for sale now, best first; to customers without purchases, what many buy lately."""
        rows = await fetch(pool, RECOMMENDATIONS_SQL, {"customer_id": customer_id, "limit": limit})
        if all(row["is_fallback"] for row in rows):
            await _refuse_unknown(pool, customer_id)
        products = [RecommendedProduct.model_construct(**row) for row in rows]
        return json_of(RecommendationsAnswer.model_construct(customer_id=customer_id, recommendations=products))

    return router


async def _refuse_unknown(pool: AsyncConnectionPool, customer_id: int) -> None:
    (row,) = await fetch(pool, _IS_KNOWN, {"customer_id": customer_id})
    if not row["is_known"]:
        raise ProblemError(404, "unknown-customer", "There is no such customer.")
