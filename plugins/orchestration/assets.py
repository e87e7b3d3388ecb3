"""What runs hand to one another. Every event carries its window as `start` and `end`."""

from __future__ import annotations

from airflow.sdk import Asset

SHOP_LOAD_REQUESTED = Asset(name="shop_load_requested", uri="regulars://shop/load_requested", group="shop")
"""Fire it from outside, with `start` and `end` in its extra, to have the shop loaded over that range."""

FEATURES = Asset(name="features", uri="regulars://features", group="features")
"""The online features have been published."""

TRAINING_REQUESTED = Asset(name="churn_training_requested", uri="regulars://churn/training_requested", group="churn")
"""Scores or features have drifted, and the churn model is to be trained anew; or fire it from outside."""

ORDERS = Asset(name="orders", uri="regulars://shop/orders", group="shop")
"""Orders have been loaded."""

EVENTS = Asset(name="events", uri="regulars://shop/events", group="shop")
"""Web events have been loaded."""
