"""All entities by name."""

from __future__ import annotations

from include.entities.customers import CUSTOMERS
from include.entities.entity import Entity
from include.entities.events import EVENTS
from include.entities.orders import ORDERS
from include.entities.products import PRODUCTS
from include.entities.refunds import REFUNDS
from include.entities.stock_prices_daily import STOCK_PRICES_DAILY
from include.entities.weather_daily import WEATHER_DAILY

ENTITIES: dict[str, Entity] = {
    entity.name: entity
    for entity in (
        CUSTOMERS,
        PRODUCTS,
        ORDERS,
        REFUNDS,
        EVENTS,
        WEATHER_DAILY,
        STOCK_PRICES_DAILY,
    )
}
