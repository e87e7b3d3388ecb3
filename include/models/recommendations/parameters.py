"""What makes one set of recommendations differ from another, besides the purchases."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationParameters:
    """Choices that are made beforehand; the others are made on the validation windows, see `choices.py`.

    :param horizon_days: length of the windows in which purchases are foretold.
    :param validation_windows: how many windows before the test window choices are made on, at most.
    :param history_days: purchases older than this are forgotten.
    :param least_customers: how many customers each window needs who were known before it and bought in it.
    :param most_judged_customers: of more than these a sample is judged, the same one for every method.
    :param candidates_per_source: how many products of each source are blended, per customer.
    :param kept_per_customer: how many products are published per customer.
    :param kept_popular: how many products the list of popular ones has.
    :param neighbours: how many similar products item-to-item keeps per product.
    :param factors: length of the vectors of customers and products.
    :param basket_days: orders of how many days say what is bought together.
    :param least_basket_share: a pair counts from this share of the orders on, and from `least_basket_orders` on.
    :param largest_basket: orders with more products than these say nothing of what is bought together.
    :param kept_together: how many other products are published per product.
    :param resamples: bootstrap samples behind each interval.
    """

    horizon_days: int = 30
    validation_windows: int = 2
    history_days: int = 730
    least_customers: int = 20
    most_judged_customers: int = 20_000
    candidates_per_source: int = 60
    kept_per_customer: int = 20
    kept_popular: int = 100
    neighbours: int = 100
    factors: int = 64
    basket_days: int = 365
    least_basket_share: float = 0.0005
    least_basket_orders: int = 4
    largest_basket: int = 100
    kept_together: int = 20
    resamples: int = 1000
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
