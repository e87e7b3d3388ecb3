"""The sandbox as one ASGI application: four APIs and its own control routes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp

from include.local.sandbox.control import Control
from include.local.sandbox.events import EventExport
from include.local.sandbox.faults import FaultControl, FaultInjection, Faults
from include.local.sandbox.shop import Shop
from include.local.sandbox.stocks import AlphaVantage
from include.local.sandbox.weather import OpenMeteo
from include.local.sandbox.woocommerce import Key, WooCommerce

_LOG_LENGTH = 20_000


@dataclass(frozen=True)
class Credentials:
    """What the four APIs ask for; Open-Meteo asks for nothing."""

    consumer_key: str
    consumer_secret: str
    event_token: str
    stock_key: str


def build_app(shop: Shop, *, credentials: Credentials, instance: str = "", latency_seconds: float = 0.0) -> ASGIApp:
    """The application that serves `shop`.

    :param instance: what `/_sandbox/health` answers with, so that a caller knows whom it reached.
    :param latency_seconds: how long every API request waits before it is answered.
    """
    log: deque[dict[str, Any]] = deque(maxlen=_LOG_LENGTH)
    faults = Faults()
    key = Key(consumer_key=credentials.consumer_key, consumer_secret=credentials.consumer_secret)
    control = Control(shop, instance=instance, log=log)
    inner = Starlette(
        routes=[
            *FaultControl(faults).routes(),
            *control.routes(),
            *EventExport(shop, token=credentials.event_token).routes(),
            *OpenMeteo(shop).routes(),
            *AlphaVantage(shop, key=credentials.stock_key).routes(),
            *WooCommerce(shop, key).routes(),
        ]
    )
    return FaultInjection(inner, faults=faults, log=log, edit=control.edit, latency_seconds=latency_seconds)
