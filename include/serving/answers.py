"""What the API answers, as its OpenAPI document describes it. Instants are in UTC, money in the shop's currency."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MOST_IDS = 500
LARGEST_ID = 2**53 - 1
"""Beyond it not every reader of JSON tells one whole number from the next (RFC 8259, section 6)."""
_AT = "2026-03-02T09:30:00Z"


def _no_lookalike(value: Any) -> Any:
    """JSON's own numbers alone: true and "17" are no ids."""
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


Id = Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(_no_lookalike)]


class ViewAge(BaseModel):
    """How old the features of one view are."""

    status: Literal["present", "not found", "outside ttl"] = Field(
        description="outside ttl: too old to be used; not found: the customer has none."
    )
    event_at: datetime | None = Field(description="The snapshot that they are from.")
    age_seconds: float | None = Field(description="From that snapshot to `at`.")
    is_stale: bool = Field(description="They are missing, or older than they would be had the last build been made.")


class Reason(BaseModel):
    """A feature that moved the score."""

    feature: str
    value: float | str | None
    effect: float = Field(description="Log-odds by which it moved the score; above 0 towards leaving.")
    text: str = Field(description="The same in words.")


class ModelUsed(BaseModel):
    """The model that scored."""

    name: str
    version: str = Field(description="In the model registry.")
    model_id: str
    horizon_days: int = Field(description="Churn means no order for so many days from `at` on.")


class Score(BaseModel):
    """How probable it is that a customer does not come back."""

    customer_id: int
    probability: float = Field(ge=0, le=1, description="Of no order within the horizon.")
    decile: int = Field(ge=1, le=10, description="Tenth of the customers that the model was trained on; 10 leaves.")
    reasons: list[Reason] = Field(description="What moved it most, the strongest first.")
    features: dict[str, ViewAge] = Field(description="By feature view.")


_SCORE: dict[str, Any] = {
    "customer_id": 17,
    "probability": 0.8312,
    "decile": 8,
    "reasons": [
        {
            "feature": "recency_days_now",
            "value": 121.4,
            "effect": 0.91,
            "text": "last purchase 121 days ago; typical is 30",
        }
    ],
    "features": {
        "customer_rfm": {
            "status": "present",
            "event_at": "2026-03-02T00:00:00Z",
            "age_seconds": 34200.0,
            "is_stale": False,
        }
    },
}
_MODEL: dict[str, Any] = {
    "name": "churn",
    "version": "3",
    "model_id": "churn-model-b749829d3dfaad22",
    "horizon_days": 90,
}


class ChurnAnswer(Score):
    """A score made at this instant, not read from a table."""

    model_config = ConfigDict(json_schema_extra={"example": {**_SCORE, "model": _MODEL, "at": _AT}})

    model: ModelUsed
    at: datetime = Field(description="The instant that it was made for.")


class BatchQuestion(BaseModel):
    """Customers to score at once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"customer_ids": [17, 42]}})

    customer_ids: list[Id] = Field(min_length=1, max_length=MOST_IDS)


class Unscored(BaseModel):
    """A customer without a score, and why."""

    customer_id: int
    problem: Literal["unknown-customer", "features-too-old"]


class BatchAnswer(BaseModel):
    """Scores of many customers, all by one model at one instant."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "scores": [_SCORE],
                "unscored": [{"customer_id": 42, "problem": "unknown-customer"}],
                "model": _MODEL,
                "at": _AT,
            }
        }
    )

    scores: list[Score] = Field(description="In the order asked, without those that have none.")
    unscored: list[Unscored]
    model: ModelUsed
    at: datetime


class ValueAnswer(BaseModel):
    """What a customer is expected to pay from the snapshot on. Revenue before costs and refunds."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "customer_id": 17, "value_amount": 84.2, "value_low_amount": 71.9, "value_high_amount": 98.6,
                "probability_alive": 0.74, "expected_purchases": 2.6, "purchase_value_amount": 33.1,
                "horizon_days": 365.0, "annual_discount_rate": 0.1, "model_id": "lifetime-5c1f0be29d37a4e2",
                "snapshot_at": "2026-03-02T00:00:00Z", "age_seconds": 34200.0, "is_stale": False,
            }
        }
    )  # fmt: skip

    customer_id: int
    value_amount: float | None = Field(description="Within the horizon, discounted; null where nothing is known of it.")
    value_low_amount: float | None = Field(
        description="With value_high_amount the interval of 95 % of the expected value; single customers vary far more."
    )
    value_high_amount: float | None
    probability_alive: float = Field(ge=0, le=1, description="That they are still a customer.")
    expected_purchases: float = Field(description="Days with a purchase within the horizon; not discounted.")
    purchase_value_amount: float | None = Field(description="Expected amount of a day with purchases.")
    horizon_days: float
    annual_discount_rate: float = Field(description="What money is worth less a year later: 0.1 is 10 %.")
    model_id: str
    snapshot_at: datetime
    age_seconds: float = Field(description="From the snapshot to now.")
    is_stale: bool = Field(description="Values are older than they would be had the last ones been published.")


class FeatureValue(BaseModel):
    """One feature of a customer."""

    value: int | float | str | None
    status: Literal["present", "null", "not found", "outside ttl"]
    event_at: datetime | None = Field(description="The snapshot that it is from; of on-demand features `at`.")


class FeaturesAnswer(BaseModel):
    """All features of a customer."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "customer_id": 17,
                "features": {
                    "frequency": {"value": 4, "status": "present", "event_at": "2026-03-02T00:00:00Z"},
                    "recency_days_now": {"value": 121.4, "status": "present", "event_at": _AT},
                },
                "views": _SCORE["features"],
                "at": _AT,
            }
        }
    )

    customer_id: int
    features: dict[str, FeatureValue]
    views: dict[str, ViewAge] = Field(description="How old the features of each view are.")
    at: datetime


class RecommendedProduct(BaseModel):
    """One product of a list."""

    rank: int = Field(ge=1)
    product_id: int
    score: float = Field(description="Comparable within this list and kind of source only.")
    source: str = Field(description="What spoke for it most.")
    is_fallback: bool = Field(description="It is there because many buy it, not for what this customer bought.")
    model_id: str
    computed_at: datetime


class RecommendationsAnswer(BaseModel):
    """What to show a customer, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "customer_id": 17,
                "recommendations": [
                    {
                        "rank": 1, "product_id": 204, "score": 0.71, "source": "item_to_item", "is_fallback": False,
                        "model_id": "recommendations-5c1f0be2", "computed_at": "2026-03-02T04:10:00Z",
                    }
                ],
            }
        }
    )  # fmt: skip

    customer_id: int
    recommendations: list[RecommendedProduct]


class ProductBoughtTogether(BaseModel):
    """Another product of the same orders."""

    rank: int = Field(ge=1)
    product_id: int
    order_count: int = Field(description="Orders with both.")
    support: float = Field(description="Share of all orders that have both.")
    confidence: float = Field(description="Share of the orders with the product asked about that have this one too.")
    reverse_confidence: float = Field(description="Share of the orders with this one that have the other one too.")
    lift: float = Field(description="How many times more often both are in an order than by chance.")
    model_id: str
    computed_at: datetime


class BoughtTogetherAnswer(BaseModel):
    """What is bought in the same orders, best first."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "product_id": 12,
                "products": [
                    {
                        "rank": 1, "product_id": 204, "order_count": 31, "support": 0.004, "confidence": 0.22,
                        "reverse_confidence": 0.09, "lift": 6.3, "model_id": "recommendations-5c1f0be2",
                        "computed_at": "2026-03-02T04:10:00Z",
                    }
                ],
            }
        }
    )  # fmt: skip

    product_id: int
    products: list[ProductBoughtTogether]


class Health(BaseModel):
    """Of the process alone."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """That requests can be answered: the warehouse does, and a champion is loaded."""

    status: Literal["ready"] = "ready"
