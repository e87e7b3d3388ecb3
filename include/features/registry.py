"""All feature views by name."""

from __future__ import annotations

from datetime import timedelta

from include.features.view import Feature, FeatureType, FeatureView

_SCORE = "score 1 to 5, 5 is best"
_MONEY = "currency of the shop"
_DAYS_IN_WINDOWS = (30, 90, 365)


def _feature(name: str, type_: FeatureType, unit: str, description: str) -> Feature:
    return Feature(name=name, type=type_, unit=unit, description=description)


def _in_windows(name: str, type_: FeatureType, unit: str, description: str) -> tuple[Feature, ...]:
    return tuple(
        _feature(f"{name}_{days}d", type_, unit, f"{description} in the {days} days before the snapshot")
        for days in _DAYS_IN_WINDOWS
    )


CUSTOMER_RFM = FeatureView(
    name="customer_rfm",
    key="customer_id",
    features=(
        _feature("recency_days", "number", "days", "time since the last purchase"),
        _feature("frequency", "integer", "orders", "paid orders ever"),
        _feature("monetary_amount", "money", _MONEY, "paid ever, less refunds"),
        _feature("recency_score", "integer", _SCORE, "fifth of all customers by last purchase"),
        _feature("frequency_score", "integer", _SCORE, "fifth of all customers by frequency"),
        _feature("monetary_score", "integer", _SCORE, "fifth of all customers by monetary amount"),
        _feature("segment", "text", "name", "what the recency and frequency scores say together"),
    ),
    reads=("orders", "refunds"),
    ttl=timedelta(days=7),
)

CUSTOMER_ACTIVITY = FeatureView(
    name="customer_activity",
    key="customer_id",
    features=(
        *_in_windows("order_count", "integer", "orders", "paid orders"),
        *_in_windows("revenue_amount", "money", _MONEY, "paid"),
        *_in_windows("refund_amount", "money", _MONEY, "given back"),
        *_in_windows("distinct_product_count", "integer", "products", "different products bought"),
        *_in_windows("event_count", "integer", "events", "web events"),
        *_in_windows("gap_mean_days", "number", "days", "mean gap between purchases, for gaps that ended"),
        *_in_windows(
            "gap_deviation_days", "number", "days", "sample standard deviation of the gaps between purchases that ended"
        ),
        _feature("typical_gap_days", "number", "days", "mean gap between all purchases so far"),
        _feature("tenure_days", "number", "days", "time since the first purchase"),
        _feature("recency_over_typical_gap", "number", "ratio", "time since the last purchase over the typical gap"),
    ),
    reads=("orders", "refunds", "events"),
    ttl=timedelta(days=7),
)


class UnknownFeature(LookupError):
    """A feature view or a feature of that name is not registered."""


def _checked(*views: FeatureView) -> dict[str, FeatureView]:
    """By name; a feature belongs to one view only, so that its name alone says what it is."""
    owners: dict[str, str] = {}
    for view in views:
        for name in view.feature_names:
            if name in owners:
                raise ValueError(f"The feature {name!r} is in {owners[name]} and in {view}. Give one another name.")
            owners[name] = view.name
    return {view.name: view for view in views}


FEATURE_VIEWS: dict[str, FeatureView] = _checked(CUSTOMER_RFM, CUSTOMER_ACTIVITY)


def feature_view(name: str) -> FeatureView:
    """The registered view of that name.

    :raises UnknownFeature: there is none.
    """
    try:
        return FEATURE_VIEWS[name]
    except KeyError:
        raise UnknownFeature(f"There is no feature view {name!r}. There are: {', '.join(FEATURE_VIEWS)}.") from None
