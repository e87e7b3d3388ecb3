"""Which class brings in which entity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from include.sources.alpha_vantage import AlphaVantage
from include.sources.network import Network
from include.sources.open_meteo import OpenMeteo
from include.sources.segment_events import SegmentEvents
from include.sources.settings import SourceSettings
from include.sources.source import Source
from include.sources.woocommerce_customers import WooCommerceCustomers
from include.sources.woocommerce_orders import WooCommerceOrders
from include.sources.woocommerce_products import WooCommerceProducts
from include.sources.woocommerce_refunds import WooCommerceRefunds


class Builder(Protocol):
    """Makes a source of one kind."""

    def __call__(self, settings: SourceSettings, *, network: Network) -> Source:
        """The source that reads from where `settings` say."""
        ...


SOURCES: dict[str, tuple[str, Builder]] = {
    "customers": ("shop_api", WooCommerceCustomers),
    "products": ("shop_api", WooCommerceProducts),
    "orders": ("shop_api", WooCommerceOrders),
    "refunds": ("shop_api", WooCommerceRefunds),
    "events": ("event_export", SegmentEvents),
    "weather_daily": ("weather_api", OpenMeteo),
    "stock_prices_daily": ("stock_api", AlphaVantage),
}
"""Entity name to the connection it comes through and the source that reads it."""


def source_for(entity: str, *, settings_of: Callable[[str], SourceSettings], network: Network | None = None) -> Source:
    """The source of an entity.

    :param settings_of: from a connection's name to its settings.
    :param network: what it shares with other processes; with none, only what this process knows.
    :raises KeyError: no source brings in such an entity.
    """
    connection, build = SOURCES[entity]
    return build(settings_of(connection), network=network or Network())
