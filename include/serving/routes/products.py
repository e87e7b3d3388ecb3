"""What is known of a product: what is bought with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from psycopg_pool import AsyncConnectionPool
from starlette.responses import Response

from include.models.recommendations.reads import BOUGHT_TOGETHER_SQL
from include.serving.answers import LARGEST_ID, BoughtTogetherAnswer, ProductBoughtTogether
from include.serving.key_ring import KeyRing
from include.serving.problems import ProblemError, documented
from include.serving.routes.customers import Limit
from include.serving.routes.json import json_of
from include.serving.warehouse import fetch

ProductId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The shop's number of the product.", examples=[12])]
_IS_KNOWN = """
SELECT
    EXISTS (SELECT 1 FROM shop.products WHERE products.product_id = %(product_id)s)
    OR EXISTS (SELECT 1 FROM ml.bought_together WHERE bought_together.product_id = %(product_id)s) AS is_known
"""


def product_routes(pool: AsyncConnectionPool, keys: KeyRing) -> APIRouter:
    """They need the scope `recommendations:read`."""
    router = APIRouter(tags=["products"], dependencies=[Depends(keys.needing("recommendations:read"))])

    @router.get(
        "/v1/products/{product_id}/bought-together",
        summary="What is bought in the same orders",
        response_model=BoughtTogetherAnswer,
        responses=documented(404),
    )
    async def bought_together(product_id: ProductId, limit: Limit = 10) -> Response:
        """Products for sale now that come in the same orders more often than by chance, best first."""
        rows = await fetch(pool, BOUGHT_TOGETHER_SQL, {"product_id": product_id, "limit": limit})
        if not rows:
            (row,) = await fetch(pool, _IS_KNOWN, {"product_id": product_id})
            if not row["is_known"]:
                raise ProblemError(404, "unknown-product", "There is no such product.")
        products = [ProductBoughtTogether.model_construct(**row) for row in rows]
        return json_of(BoughtTogetherAnswer.model_construct(product_id=product_id, products=products))

    return router
