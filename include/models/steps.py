"""What the steps of the models read and write, as lineage shows it. A test holds it against their code and SQL."""

from __future__ import annotations

from dataclasses import dataclass

from include.features.registry import REGISTRY
from include.features.views.customer_lifetime import CUSTOMER_LIFETIME

_CHURN_VIEWS = tuple(REGISTRY.features_of(item)[0].name for item in REGISTRY.service("churn").features)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStep:
    """A task of a model's DAG, or the part of it that writes some of its tables.

    :param name: `dag.task`.
    :param modules: where its statements stand, below `include.models`.
    :param reads: tables that what it writes is made of.
    :param views: feature views that it reads.
    :param writes: tables that it writes.
    """

    name: str
    modules: tuple[str, ...]
    reads: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    writes: tuple[str, ...]


MODEL_STEPS: tuple[ModelStep, ...] = (
    ModelStep(
        name="churn_model.build_training_set",
        modules=("churn.training_set",),
        reads=("shop.orders",),
        views=_CHURN_VIEWS,
        writes=("ml.training_sets",),
    ),
    ModelStep(
        name="churn_model.build_training_set",
        modules=("churn.training_set",),
        reads=("shop.orders",),
        writes=("ml.shop_weeks",),
    ),
    ModelStep(
        name="churn_model.train",
        modules=("churn.train", "churn.training_set"),
        reads=("ml.training_sets", "ml.shop_weeks"),
        writes=("ml.models", "ml.churn_backtests"),
    ),
    ModelStep(
        name="churn_model.evaluate",
        modules=("churn.evaluate",),
        reads=("ml.models", "ml.training_sets", "ml.churn_backtests"),
        writes=("ml.evaluations", "ml.calibration_bins", "ml.churn_reports"),
    ),
    ModelStep(
        name="churn_model.promote",
        modules=("index",),
        reads=("ml.models",),
        writes=("ml.aliases", "ml.alias_changes"),
    ),
    ModelStep(
        name="lifetime_value.fit_lifetime",
        modules=("lifetime.refit",),
        views=(CUSTOMER_LIFETIME.name,),
        writes=("ml.lifetime_models",),
    ),
    ModelStep(
        name="lifetime_value.score_lifetime",
        modules=("lifetime.scores", "lifetime.refit"),
        reads=("ml.lifetime_models",),
        views=(CUSTOMER_LIFETIME.name,),
        writes=("ml.lifetime_values",),
    ),
    ModelStep(
        name="product_recommendations.build_candidates",
        modules=("recommendations.purchase_runs", "recommendations.purchases"),
        reads=("shop.orders", "shop.order_lines"),
        writes=("ml.recommendation_runs",),
    ),
    ModelStep(
        name="product_recommendations.evaluate_candidates",
        modules=("recommendations.evaluate",),
        reads=("ml.recommendation_runs",),
        writes=("ml.recommendation_metrics",),
    ),
    ModelStep(
        name="product_recommendations.publish_recommendations",
        modules=("recommendations.publish",),
        reads=("ml.recommendation_runs", "ml.recommendable_products", "shop.orders", "shop.order_lines"),
        writes=("ml.recommendations", "ml.popular_products", "ml.bought_together"),
    ),
    ModelStep(
        name="customer_scores.score_customers",
        modules=("scores.score", "lifetime.refit"),
        reads=("ml.lifetime_models",),
        views=(*_CHURN_VIEWS, CUSTOMER_LIFETIME.name),
        writes=("ml.customer_scores",),
    ),
    ModelStep(
        name="customer_scores.score_customers",
        modules=("scores.score", "lifetime.refit"),
        reads=("ml.lifetime_models",),
        writes=("ml.score_runs",),
    ),
    ModelStep(
        name="customer_scores.monitor_scores",
        modules=("scores.references", "churn.training_set"),
        reads=("ml.models", "ml.training_sets"),
        writes=("ml.reference_distributions",),
    ),
    ModelStep(
        name="customer_scores.monitor_scores",
        modules=("scores.monitor", "scores.reality", "scores.references"),
        reads=(
            "ml.score_runs",
            "ml.customer_scores",
            "ml.reference_distributions",
            "ml.evaluations",
            "shop.orders",
        ),
        writes=("ml.monitoring",),
    ),
)
