"""Postgres goes away and comes back: no made-up answer meanwhile, and nobody has to do anything."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from include.local.postgres import PostgresServer
from include.warehouse.api_role import grant_to_api
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate
from tests.integration.registry_stores import sqlite_registry
from tests.integration.serving_host import Api, api, new_key, served_in_a_process, until
from tests.integration.serving_shop import AT, crown, fill_shop, train_model
from tests.own_database import as_api, make_api_role

PATHS = [f"/v1/customers/7/{path}" for path in ("churn", "features", "recommendations", "value")]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[PostgresServer]:
    server = PostgresServer(Path(tmp_path_factory.mktemp("postgres")) / "data")
    server.start()
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE shop")
    make_api_role(server)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def registry(server, tmp_path_factory):
    """The registry's database is its own here: what fails is the warehouse alone."""
    registry = sqlite_registry(tmp_path_factory.mktemp("registry"))
    with connect_warehouse(server.dsn("shop")) as conn:
        migrate(conn)
        grant_to_api(conn)
        orders = fill_shop(conn)
        crown(registry, train_model(conn, orders), model_id="first")
    return registry


def test_while_it_is_down_every_answer_is_503_and_then_all_is_as_before(server, registry):
    with api(server.dsn("shop"), registry=lambda: registry, clock=lambda: AT) as running:
        until(lambda: running.get("/readyz").status_code == 200)
        before = running.get(PATHS[0]).json()
        server.stop()
        for path in [*PATHS, "/readyz"]:
            answer = running.get(path)
            assert answer.status_code == 503
            assert answer.json()["type"].endswith(":warehouse-unavailable")
            assert answer.headers["Retry-After"]
        assert running.get("/healthz").status_code == 200
        server.start()
        until(lambda: running.get("/readyz").status_code == 200)
        assert running.get(PATHS[0]).json() == before


def test_a_restart_between_two_requests_is_not_noticed(server, registry):
    with api(server.dsn("shop"), registry=lambda: registry, clock=lambda: AT, key_name="restart") as running:
        until(lambda: running.get("/readyz").status_code == 200)
        with ThreadPoolExecutor(8) as callers:  # All connections of the pool are in use and lie there afterwards.
            assert set(callers.map(lambda path: running.get(path).status_code, PATHS[:2] * 20)) == {200}
        server.stop()
        server.start()
        assert [running.get(path).status_code for path in PATHS[:2] * 5] == [200] * 10


def test_it_starts_without_a_warehouse_and_is_ready_when_there_is_one(server, registry, tmp_path):
    dsn, key = server.dsn("shop"), new_key(server.dsn("shop"), "early")
    server.stop()
    try:
        environment = {"MLFLOW_TRACKING_URI": registry._address, "REGULARS_STORAGE": str(tmp_path)}
        arguments = ("--now", AT.isoformat())
        with served_in_a_process(as_api(dsn), *arguments, environment=environment, log=tmp_path / "log") as url:
            running = Api(url, key)
            assert running.get("/healthz").status_code == 200
            assert running.get("/readyz").status_code == 503
            assert running.get(PATHS[0]).status_code == 503
            server.start()
            until(lambda: running.get(PATHS[0]).status_code == 200)
            assert running.get("/readyz").status_code == 200
        log = (tmp_path / "log").read_text()
        assert "/customers/7" not in log
        assert "key=early" in log
    finally:
        server.start()
