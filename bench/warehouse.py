"""An empty warehouse of its own for a benchmark."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from include.local.postgres import PostgresServer
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate


@contextmanager
def fresh_warehouse() -> Iterator[str]:
    """The connection string of a migrated warehouse on a server that lives as long as the block."""
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder) / "postgres")
        server.start()
        try:
            with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
                admin.execute("CREATE DATABASE bench")
            with connect_warehouse(server.dsn("bench")) as conn:
                migrate(conn)
                conn.commit()
            yield server.dsn("bench")
        finally:
            server.stop()
