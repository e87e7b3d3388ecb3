"""What runs hand to one another. Every event carries its window as `start` and `end`."""

from __future__ import annotations

from airflow.sdk import Asset

SHOP_LOAD_REQUESTED = Asset(name="shop_load_requested", uri="regulars://shop/load_requested", group="shop")
"""Fire it from outside, with `start` and `end` in its extra, to have the shop loaded over that range."""

FEATURES = Asset(name="features", uri="regulars://features", group="features")
"""The online features have been published."""

ORDERS = Asset(name="orders", uri="regulars://shop/orders", group="shop")
"""Orders have been loaded."""
