"""A real Airflow in this process: its metadata database, the project's DAGs, and a sandbox shop to run them on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from include.local.connections import warehouse_connection
from tests.integration.sandbox_process import SandboxProcess, sandbox
from tests.own_database import connection, own_database

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def metadata_database() -> None:
    """Airflow's own tables, in the throw-away home."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture(scope="session")
def parse_dags(metadata_database: None) -> Callable[[], Any]:
    """Parses the DAG folder anew, as the scheduler does."""
    from airflow.dag_processing.dagbag import DagBag

    return lambda: DagBag(str(ROOT / "dags"))


@pytest.fixture(scope="session")
def parsed_dags(parse_dags: Callable[[], Any]) -> Any:
    """The DAG folder as the scheduler sees it, for tests that look at DAGs and run none."""
    return parse_dags()


@pytest.fixture
def dag_bag(parse_dags: Callable[[], Any]) -> Any:
    """The same for tests that run DAGs, parsed for each: a run leaves its parameters in the DAG object."""
    return parse_dags()


@pytest.fixture(scope="session")
def shop() -> Iterator[SandboxProcess]:
    """A small shop behind all four APIs."""
    with sandbox(customers=120, seed=11) as process:
        yield process


@pytest.fixture
def platform(shop: SandboxProcess, warehouse_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Connections and storage for tasks that run in this process; returns the warehouse's address."""
    for name, described in connections(shop, warehouse_dsn).items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(described))
    monkeypatch.setenv("REGULARS_STORAGE", str(tmp_path / "storage"))
    return warehouse_dsn


@pytest.fixture(scope="session")
def server(metadata_database: None) -> Any:
    """Airflow's API server with the plugins of the project."""
    from airflow.api_fastapi.app import create_app

    return create_app(apps="core")


@pytest.fixture(scope="session")
def _client_for_all(server: Any) -> Iterator[TestClient]:
    with TestClient(server) as client:
        yield client


@pytest.fixture
def anonymous(_client_for_all: TestClient) -> TestClient:
    """Somebody who did not log in to the API server, and did not in an earlier test."""
    _client_for_all.headers.pop("Authorization", None)
    _client_for_all.cookies.clear()
    return _client_for_all


@pytest.fixture(scope="session")
def _warehouse_of_nobody(postgres_server: Any) -> Iterator[str]:
    with own_database(postgres_server, "warehouse_of_nobody") as dsn:
        yield dsn


@pytest.fixture
def stranger(anonymous: TestClient, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody who did not log in; the API server reads this test's warehouse, or an empty one if it takes none."""
    takes_one = "warehouse_dsn" in request.fixturenames
    dsn = request.getfixturevalue("warehouse_dsn" if takes_one else "_warehouse_of_nobody")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection(dsn))
    return anonymous


@pytest.fixture
def admin(stranger: TestClient) -> TestClient:
    """The same, logged in as an administrator."""
    return logged_in(stranger, role="admin")


def logged_in(client: TestClient, *, role: str | None) -> TestClient:
    """The client as a user of Airflow with that role."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="somebody", role=role))
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def connections(shop: SandboxProcess, warehouse_dsn: str) -> dict[str, dict[str, Any]]:
    """What a deployment would keep in Airflow's connections."""
    api = {"conn_type": "http", "host": shop.base_url}
    return {
        "WAREHOUSE": warehouse_connection(warehouse_dsn),
        "SHOP_API": {**api, "login": shop.consumer_key, "password": shop.consumer_secret},
        "EVENT_EXPORT": {**api, "password": shop.event_token},
        "WEATHER_API": {**api, "extra": {"locations": [{"name": "London", "latitude": 51.5, "longitude": -0.12}]}},
        "STOCK_API": {**api, "password": shop.stock_key, "extra": {"symbols": ["AMZN"], "currency": "USD"}},
    }
