"""Databases of tests: one that some of them share, and how the platform is told of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from include.local.connections import warehouse_connection
from include.local.postgres import PostgresServer
from include.warehouse.api_role import API_ROLE

_PASSWORD_OF_API = "only-in-tests"


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


def connection(dsn: str) -> str:
    """A warehouse as the variable AIRFLOW_CONN_WAREHOUSE holds it."""
    return json.dumps(warehouse_connection(dsn))


def make_api_role(server: PostgresServer) -> None:
    """The role that the API enters the warehouse as; migrations give it its rights in a database."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(API_ROLE), sql.Literal(_PASSWORD_OF_API))
        )


def as_api(dsn: str) -> str:
    """The same database, entered by the API's own role."""
    url = urlsplit(dsn)
    return url._replace(netloc=f"{API_ROLE}:{_PASSWORD_OF_API}@{url.hostname}:{url.port}").geturl()
