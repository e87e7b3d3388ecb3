"""The API of the embedded stack, and its first key."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import requests

from include.local.airflow_settings import clean_environment
from include.local.errors import LocalStackError, log_tail
from include.local.parts import Part, check_alive, start_part
from include.local.places import CHECKOUT, Places
from include.local.ports import LOOPBACK, free_port
from include.serving.keys import SCOPES, create_key, list_keys
from include.warehouse.connection import connect_warehouse

START_SECONDS = 60.0
WAREHOUSE = "AIRFLOW_CONN_WAREHOUSE"
FIRST_KEY = "local"
_PASSED_ON = ("MLFLOW_TRACKING_URI", "MLFLOW_ARTEFACT_ROOT", "REGULARS_STORAGE", WAREHOUSE)


def start_api(*, places: Places, environment: Mapping[str, str], now: str) -> tuple[Part, str]:
    """Start the API beside Airflow; returns the part and its URL. `wait_for_api` says when it answers.

    :param environment: of Airflow's parts; what the API reads of it is passed on, the keys of sources are not.
    :param now: the instant of every request: the shop's time ends there; by the clock its features would be too old.
    """
    port = free_port()
    part = start_part(
        name="api", command=[sys.executable, "-m", "include.serving", "--port", str(port), "--now", now],
        environment={
            **clean_environment(),
            **{name: value for name, value in environment.items() if name in _PASSED_ON},
        },
        folder=places.parts, logs=places.logs, cwd=CHECKOUT,
    )  # fmt: skip
    return part, f"http://{LOOPBACK}:{port}"


def wait_for_api(part: Part, *, url: str) -> None:
    """Wait until it answers; a model need not be there yet.

    :raises LocalStackError: it ended or is too slow.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        check_alive(part)
        try:
            if requests.get(f"{url}/healthz", timeout=10, proxies={"http": ""}).ok:
                return
        except requests.RequestException:
            pass
        if time.monotonic() > deadline:
            raise LocalStackError(
                f"The API did not answer within {START_SECONDS:.0f} s. Its log {part.log}:\n{log_tail(Path(part.log))}"
            )
        time.sleep(0.1)


def first_key(warehouse_dsn: str) -> str | None:
    """A key for everything, made when the warehouse never had one of this name; None afterwards."""
    with connect_warehouse(warehouse_dsn) as conn:
        if any(key.name == FIRST_KEY for key in list_keys(conn)):
            return None
        key = create_key(conn, name=FIRST_KEY, scopes=list(SCOPES), now=datetime.now(UTC))
        conn.commit()
    return key
