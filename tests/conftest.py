"""One real Postgres for the whole test run; one fresh, migrated database per test that asks for it."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from include.features.definitions.versions import apply_view
from include.features.registry import FEATURE_VIEWS
from include.ingestion.landing import Landing
from include.warehouse.api_role import grant_to_api
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate
from tests.own_database import make_api_role, own_database
from tests.properties import load_profile

load_profile()

_numbers = itertools.count(1)
_ROOT = Path(__file__).resolve().parents[1]

# Airflow reads its settings when it is first imported, by whichever test comes first.
os.environ.update(
    AIRFLOW_HOME=tempfile.mkdtemp(prefix="airflow-home-"),
    AIRFLOW__CORE__DAGS_FOLDER=str(_ROOT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(_ROOT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
    AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL="error",
    GX_ANALYTICS_ENABLED="false",
)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """The embedded Postgres 18, in a data directory of its own."""
    from include.local.postgres import PostgresServer

    server = PostgresServer(Path(tmp_path_factory.mktemp("postgres")) / "data")
    server.start()
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        # It works when it likes: what the planner reckons would differ between two runs of one test.
        admin.execute("ALTER SYSTEM SET autovacuum = off")
        admin.execute("SELECT pg_reload_conf()")
        # The tests kill processes and servers, never the machine: nothing is lost by not waiting for the disk.
        admin.execute("ALTER SYSTEM SET fsync = off")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("CREATE DATABASE template_warehouse")
    make_api_role(server)
    with connect_warehouse(server.dsn("template_warehouse")) as conn:
        migrate(conn)
        grant_to_api(conn)
        for view in FEATURE_VIEWS.values():
            apply_view(conn, view, now=datetime(2020, 1, 1, tzinfo=UTC))
    yield server
    server.stop()


@pytest.fixture
def warehouse_dsn(postgres_server) -> Iterator[str]:
    """Connection string of a fresh database with every migration applied."""
    with own_database(postgres_server, f"warehouse_{next(_numbers)}") as dsn:
        yield dsn


@pytest.fixture
def warehouse(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to a fresh warehouse."""
    with connect_warehouse(warehouse_dsn) as conn:
        yield conn


@pytest.fixture(scope="session")
def s3_server() -> Iterator:
    """A real S3 server over HTTP; each test takes buckets of its own."""
    from tests.s3_server import S3Server

    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(params=["folder", "s3", "memory"])
def any_landing(request: pytest.FixtureRequest, tmp_path: Path) -> Landing:
    """Landing in a local folder, in a bucket of a real S3 server and in memory: one behaviour."""
    if request.param == "s3":
        return Landing(request.getfixturevalue("s3_server").bucket() / "landing")
    return Landing(tmp_path / "landing" if request.param == "folder" else f"memory://{uuid4()}/landing")
