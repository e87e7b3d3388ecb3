"""Lifetime value: what was computed last for a customer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from fastapi import APIRouter, Depends
from psycopg_pool import AsyncConnectionPool
from starlette.responses import Response

from include.serving.answers import ValueAnswer
from include.serving.key_ring import KeyRing
from include.serving.problems import ProblemError, documented
from include.serving.routes.churn import CustomerId
from include.serving.routes.json import json_of
from include.serving.warehouse import fetch

_EXPECTED = timedelta(days=8)
"""Values are fitted and scored weekly: older ones have missed a run."""
_NEWEST = """
SELECT
    lifetime_values.customer_id,
    lifetime_values.value_amount,
    lifetime_values.value_low_amount,
    lifetime_values.value_high_amount,
    lifetime_values.probability_alive,
    lifetime_values.expected_purchases,
    lifetime_values.purchase_value_amount,
    lifetime_models.horizon_days,
    lifetime_models.annual_discount_rate,
    lifetime_models.lifetime_model_id AS model_id,
    lifetime_values.snapshot_at
FROM ml.lifetime_values
INNER JOIN ml.lifetime_models ON lifetime_values.lifetime_model_id = lifetime_models.lifetime_model_id
WHERE lifetime_values.customer_id = %(customer_id)s AND lifetime_values.snapshot_at <= %(at)s
ORDER BY lifetime_values.snapshot_at DESC, lifetime_models.fitted_at DESC
LIMIT 1
"""


def value_routes(pool: AsyncConnectionPool, keys: KeyRing, *, clock: Callable[[], datetime]) -> APIRouter:
    """They need the scope `value:read`."""
    router = APIRouter(tags=["customers"], dependencies=[Depends(keys.needing("value:read"))])

    @router.get(
        "/v1/customers/{customer_id}/value",
        summary="What a customer is expected to pay",
        response_model=ValueAnswer,
        responses=documented(404),
    )
    async def value(customer_id: CustomerId) -> Response:
        """Of the newest snapshot that was scored, by the fit of BG/NBD and Gamma-Gamma in use then."""
        now = clock()
        rows = await fetch(pool, _NEWEST, {"customer_id": customer_id, "at": now})
        if not rows:
            raise ProblemError(404, "unknown-customer", "Nothing is known of this customer, or nothing was scored yet.")
        age = now - rows[0]["snapshot_at"]
        answer = {**rows[0], "age_seconds": age.total_seconds(), "is_stale": age > _EXPECTED}
        return json_of(ValueAnswer.model_construct(**answer))

    return router
