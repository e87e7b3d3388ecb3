"""Churn: one customer in real time, or many at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from include.serving.answers import (
    LARGEST_ID,
    BatchAnswer,
    BatchQuestion,
    ChurnAnswer,
    Score,
    Unscored,
)
from include.serving.key_ring import KeyRing
from include.serving.problems import ProblemError, documented
from include.serving.routes.json import json_of
from include.serving.together import ChurnScorer

CustomerId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The shop's number of the customer.", examples=[17])]


def churn_routes(scorer: ChurnScorer, keys: KeyRing) -> APIRouter:
    """Both need the scope `churn:read`."""
    router = APIRouter(tags=["churn"], dependencies=[Depends(keys.needing("churn:read"))])

    @router.get(
        "/v1/customers/{customer_id}/churn",
        summary="How probable it is that a customer does not come back",
        response_model=ChurnAnswer,
        responses=documented(404),
    )
    async def churn(customer_id: CustomerId) -> Response:
        """Scored now by the model in use, from the customer's features as known at this instant.

        `features` says how old they are. Without a model, without the warehouse and with features that are too old the
        answer is 503 and never a number.
        """
        scored = await scorer.score_one(customer_id)
        (customer,) = scored.customers
        if isinstance(customer, Unscored):
            raise _problem(customer)
        return json_of(
            ChurnAnswer.model_construct(
                **{name: getattr(customer, name) for name in Score.model_fields}, model=scored.model, at=scored.at
            )
        )

    @router.post(
        "/v1/churn:batch",
        summary="The same for many customers",
        response_model=BatchAnswer,
        responses=documented(400, 413),
    )
    async def churn_batch(question: BatchQuestion) -> Response:
        """All are scored by one model at one instant; those that cannot be are named with the reason."""
        scored = await scorer.score_many(question.customer_ids)
        return json_of(
            BatchAnswer.model_construct(
                scores=[each for each in scored.customers if isinstance(each, Score)],
                unscored=[each for each in scored.customers if isinstance(each, Unscored)],
                model=scored.model,
                at=scored.at,
            )
        )

    return router


def _problem(customer: Unscored) -> ProblemError:
    if customer.problem == "unknown-customer":
        return ProblemError(404, "unknown-customer", "Nothing is known of this customer, or nothing was bought yet.")
    return ProblemError(
        503, "features-too-old", "The customer's features are too old to be scored: no build was published lately.",
        retry_seconds=600,
    )  # fmt: skip
