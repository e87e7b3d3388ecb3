"""What customers do on the site, by the events that name them."""

from __future__ import annotations

from datetime import timedelta

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.view import Feature, FeatureType, FeatureView

_DAYS_OF_EVENTS = (7, 30, 90)
_DAYS_OF_SESSIONS = (30, 90)


def _events(name: str, event_name: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(f"{name}_{days}d", "integer", "events", f"{event_name} events in the {days} days before the snapshot")
        for days in _DAYS_OF_EVENTS
    )


def _sessions(name: str, type_: FeatureType, unit: str, description: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(f"{name}_{days}d", type_, unit, f"{description} that began in the {days} days before the snapshot")
        for days in _DAYS_OF_SESSIONS
    )


CUSTOMER_ENGAGEMENT = FeatureView(
    name="customer_engagement",
    entity=CUSTOMER,
    features=(
        *_events("product_viewed_count", "Product Viewed"),
        *_events("product_added_count", "Product Added"),
        *_events("checkout_started_count", "Checkout Started"),
        *_events("order_completed_count", "Order Completed"),
        *_sessions("session_count", "integer", "sessions", "sessions (one ends after 30 minutes without an event)"),
        *_sessions(
            "cart_abandonment_share",
            "number",
            "share, 0 to 1",
            "share without an Order Completed from the first Product Added or Checkout Started on, judged by what was "
            "before the snapshot, of the sessions with such a first",
        ),
        *_sessions(
            "session_conversion_share",
            "number",
            "share, 0 to 1",
            "share with an Order Completed, judged by what was before the snapshot, of the sessions",
        ),
        Feature(
            "distinct_viewed_product_count_30d",
            "integer",
            "products",
            "different products viewed in the 30 days before the snapshot",
        ),
        Feature("days_since_last_visit", "number", "days", "time since the last event of any kind"),
    ),
    reads=("shop.events",),
    is_newest_first=True,
    description="What customers do on the site: events, sessions, carts left behind, sessions that end in an order.",
    owner="growth",
    tags=("engagement",),
    # Sessions are felt for 90 days and the 30 minutes that join two of them, the last visit until the next one.
    memory=None,
    ttl=timedelta(days=7),
    expectations=(
        FeatureExpectation(rows_at_least=1, rows_change_at_most=0.2),
        FeatureExpectation(feature="days_since_last_visit", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="session_count_90d", at_least=0, null_share_at_most=0),
        FeatureExpectation(feature="cart_abandonment_share_90d", at_least=0, at_most=1),
        FeatureExpectation(feature="session_conversion_share_90d", at_least=0, at_most=1),
    ),
)
