"""Registries for tests, on databases of their own that are copied from one made once: MLflow takes seconds for that."""

from __future__ import annotations

import atexit
import functools
import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from include.models.registry.model_registry import ModelRegistry

_numbers = itertools.count(1)


@functools.cache
def _empty_sqlite() -> Path:
    """An empty registry's file, made once in this process."""
    folder = tempfile.TemporaryDirectory(prefix="registry-")
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "mlflow.db"
    ModelRegistry(f"sqlite:///{file}", "")
    return file


def make_postgres(server: Any) -> str:
    """An empty registry's database, with nobody connected to it."""
    name = "template_mlflow"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        ModelRegistry(server.dsn(name), "")
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    return name


def sqlite_registry(folder: Path) -> ModelRegistry:
    """A registry in a folder, as `REGULARS_STORAGE/models` is laid out; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mlflow.db"
    if not file.exists():
        shutil.copy(_empty_sqlite(), file)
    return ModelRegistry(f"sqlite:///{file}", (folder / "artefacts").as_uri())


@contextmanager
def postgres_registry(server: Any, template: str, folder: Path) -> Iterator[ModelRegistry]:
    """A registry in a database of its own."""
    name = f"mlflow_{next(_numbers)}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield ModelRegistry(server.dsn(name), (folder / "artefacts").as_uri())
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Start all calls at the same moment; each one's result, or what it raised."""
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(place: int) -> None:
        start.wait()
        try:
            results[place] = calls[place]()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
