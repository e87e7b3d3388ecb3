"""What tests of several parts of the platform stand on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from include.warehouse.connection import connect_warehouse
from tests.integration.redis_process import NEEDS_REDIS, redis_server
from tests.own_database import own_database


@pytest.fixture(scope="session")
def _warehouse_for_all(postgres_server) -> Iterator[psycopg.Connection]:
    with own_database(postgres_server, "rolled_back") as dsn, connect_warehouse(dsn) as conn:
        yield conn


@pytest.fixture
def empty_shop(_warehouse_for_all: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection to an empty warehouse for tests that never commit: what they do is rolled back at their end."""
    yield _warehouse_for_all
    _warehouse_for_all.rollback()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a memory disk with the given mount options."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True)
        if done.returncode != 0:
            pytest.skip(f"mounting is not allowed here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def registry(tmp_path: Path):
    """A fresh model registry."""
    from tests.integration.registry_stores import sqlite_registry

    return sqlite_registry(tmp_path / "registry")


@pytest.fixture(scope="session")
def registry_database(postgres_server) -> str:
    """The name of an empty model registry's database to copy."""
    from tests.integration.registry_stores import make_postgres

    return make_postgres(postgres_server)


@pytest.fixture(params=["sqlite", "postgres"])
def any_registry(request, tmp_path: Path):
    """A fresh model registry, over each store that MLflow may keep it in."""
    from tests.integration.registry_stores import postgres_registry, sqlite_registry

    if request.param == "sqlite":
        yield sqlite_registry(tmp_path)
        return
    server, template = (request.getfixturevalue(name) for name in ("postgres_server", "registry_database"))
    with postgres_registry(server, template, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """The address of a Redis of the module's own."""
    with redis_server() as url:
        yield url


@pytest.fixture(params=["postgres", pytest.param("redis", marks=NEEDS_REDIS)])
def online(request: pytest.FixtureRequest, warehouse_dsn: str):
    """An online store of a fresh warehouse, in each place that it may be in."""
    from tests.integration.online_stores import in_postgres, in_redis

    store = in_postgres(warehouse_dsn)
    if request.param == "redis":
        store = in_redis(warehouse_dsn, request.getfixturevalue("redis_url"))
    yield store
    store.close()
