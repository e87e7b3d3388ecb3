"""Which class brings in which entity."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from include.entities.entity import Entity
from include.entities.registry import ENTITIES
from include.sources.alpha_vantage import AlphaVantage
from include.sources.errors import ContractBroken
from include.sources.files.entity_files import EntityFiles
from include.sources.files.online_retail.shop import KINDS
from include.sources.files.online_retail.source import OnlineRetailFiles
from include.sources.network import Network
from include.sources.open_meteo import OpenMeteo
from include.sources.segment_events import SegmentEvents
from include.sources.settings import FILE_KINDS, HTTP_KINDS, SourceSettings
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


LAYOUTS: dict[str, tuple[Callable[[Entity, SourceSettings], Source], Collection[str]]] = {
    "entities": (EntityFiles, ENTITIES),
    "online_retail": (OnlineRetailFiles, KINDS),
}
"""How files are laid out (`layout` in a connection's extra): what reads them, and the entities that they hold."""


def source_for(entity: str, *, settings_of: Callable[[str], SourceSettings], network: Network | None = None) -> Source:
    """The source of an entity: its API, or files, as the type of its connection says.

    :param settings_of: from a connection's name to its settings.
    :param network: what it shares with other processes; with none, only what this process knows.
    :raises KeyError: no source brings in such an entity.
    :raises ContractBroken: nobody knows how to read from such a connection.
    """
    connection, build = SOURCES[entity]
    settings = settings_of(connection)
    if settings.kind in HTTP_KINDS:
        return build(settings, network=network or Network())
    if settings.kind in FILE_KINDS:
        return _files(entity, settings)
    raise ContractBroken(
        f"The connection `{connection}` is of the type {settings.kind!r}, from which nothing can be read. Nothing was "
        f"loaded. Known types are {', '.join(HTTP_KINDS)} (an API) and {', '.join(FILE_KINDS)} (files): correct it."
    )


def _files(entity: str, settings: SourceSettings) -> Source:
    layout = settings.extra.get("layout", "entities")
    if layout not in LAYOUTS:
        raise ContractBroken(
            f"The connection `{settings.name}` names the layout {layout!r}. Nothing was loaded. Known layouts are "
            f"{', '.join(LAYOUTS)}: correct `layout` in its extra."
        )
    build, entities = LAYOUTS[layout]
    if entity not in entities:
        raise ContractBroken(
            f"The connection `{settings.name}` is to give {entity}, which files in the layout {layout!r} do not hold; "
            f"they hold {', '.join(entities)}. Nothing was loaded. Choose another layout in its extra."
        )
    return build(ENTITIES[entity], settings)
