"""The Airflow connections of the embedded stack, as environment variables."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlsplit

from include.local.keys import Keys
from include.local.ports import LOOPBACK

WEATHER_LOCATIONS = [
    {"name": "London", "latitude": 51.5, "longitude": -0.12},
    {"name": "Berlin", "latitude": 52.52, "longitude": 13.41, "country": "DE"},
]
"""Berlin for the customers in Germany, where most of the simulated shop's live, London for everybody else."""
STOCK_SYMBOLS = ["AMZN"]


def connections(*, warehouse_dsn: str, sandbox_port: int, keys: Keys) -> dict[str, str]:
    """`AIRFLOW_CONN_*` for the warehouse and the sandbox's four APIs."""
    sandbox = {"conn_type": "http", "host": f"http://{LOOPBACK}", "port": sandbox_port}
    described: dict[str, dict[str, object]] = {
        "WAREHOUSE": warehouse_connection(warehouse_dsn),
        "SHOP_API": {**sandbox, "login": keys.consumer_key, "password": keys.consumer_secret, "extra": {}},
        "EVENT_EXPORT": {**sandbox, "password": keys.event_token},
        "WEATHER_API": {**sandbox, "extra": {"locations": WEATHER_LOCATIONS}},
        "STOCK_API": {**sandbox, "password": keys.stock_key, "extra": {"symbols": STOCK_SYMBOLS, "currency": "USD"}},
    }
    return {f"AIRFLOW_CONN_{name}": json.dumps(value) for name, value in described.items()}


def warehouse_connection(dsn: str) -> dict[str, object]:
    """A connection URL of Postgres as an Airflow connection."""
    url = urlsplit(dsn)
    return {
        "conn_type": "postgres",
        "host": url.hostname,
        "port": url.port,
        "login": url.username,
        "password": unquote(url.password or ""),
        "schema": url.path.removeprefix("/"),
    }
