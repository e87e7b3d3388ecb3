"""A warehouse whose server logs every statement, to see that no value ever becomes a part of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.types.json import set_json_loads

from include.local.postgres import PostgresServer
from include.warehouse.connection import connect_warehouse
from tests.hostile_values import CANARY
from tests.integration.ingestion_shop import ALL_TABLES
from tests.own_database import own_database
from tests.wire_rows import read_json


@contextmanager
def logged_warehouse(server: PostgresServer, name: str) -> Iterator[psycopg.Connection]:
    """A connection to a new database that logs statements without their parameters; and the canary in it."""
    with own_database(server, name) as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f"CREATE TABLE shop.{CANARY} AS SELECT 'alive' AS state")
            conn.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
            conn.execute(f"ALTER DATABASE {name} SET log_parameter_max_length = 0")
        with connect_warehouse(dsn) as connection:
            set_json_loads(read_json, connection)
            yield connection


@contextmanager
def without_a_payload_in_the_log(server: PostgresServer, conn: psycopg.Connection) -> Iterator[None]:
    """Empties the tables; at the end the server's log must hold statements since then, and nothing of a payload."""
    offset = server.log.stat().st_size
    conn.execute(f"TRUNCATE {', '.join(ALL_TABLES)}, quarantine.rejected_rows")
    conn.commit()
    yield
    with server.log.open("rb") as file:
        file.seek(offset)
        logged = file.read()
    assert b"TRUNCATE" in logged, "the server logged no statements, so this shows nothing"
    assert CANARY.encode() not in logged
    with psycopg.connect(conn.info.dsn, password=conn.info.password) as fresh:
        query = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'c4n%'"
        assert fresh.execute(query).fetchall() == [(CANARY,)]
