"""A database that some tests share, because filling it takes long, or because they commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from include.local.postgres import PostgresServer


@contextmanager
def own_database(server: PostgresServer, name: str, *, template: str = "template_warehouse") -> Iterator[str]:
    """A copy of a database until the block ends; gives its connection string.

    :param name: one that no other test takes.
    :param template: what is copied, and nobody is connected to: an empty warehouse with every migration, unless said.
    """
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield server.dsn(name)
    finally:
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
