"""The API as callers meet it: a real uvicorn on a free port, in a thread or in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
import uvicorn
from fastapi import FastAPI

from include.serving.app import build_app
from include.serving.keys import SCOPES, create_key
from include.serving.settings import ServingSettings
from include.serving.warehouse import serving_pool
from include.warehouse.connection import connect_warehouse
from tests.own_database import as_api, connection

CHECKOUT = Path(__file__).resolve().parents[2]
START_SECONDS = 60


@dataclass
class Api:
    """A running API, and a key for it."""

    url: str
    key: str = ""

    def get(self, path: str, *, key: str | None = None, **options: Any) -> requests.Response:
        return self.ask("GET", path, key=key, **options)

    def ask(self, method: str, path: str, *, key: str | None = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key if key is None else key}", **options.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **options)


def new_key(dsn: str, name: str = "tests", scopes: list[str] | None = None, **limits: Any) -> str:
    """A key that may do everything, often, unless told otherwise."""
    with connect_warehouse(dsn) as conn:
        made = create_key(
            conn, name=name, scopes=scopes or list(SCOPES), now=datetime.now(UTC),
            **{"requests_per_second": 1e6, "burst": 1_000_000, **limits},
        )  # fmt: skip
        conn.commit()
        return made


def no_registry() -> Any:
    raise ConnectionError("this test has no registry")


@contextmanager
def api(
    dsn: str, *, registry: Callable[[], Any] = no_registry, key_name: str = "tests", **settings: Any
) -> Iterator[Api]:
    """The API over a warehouse, which it enters as its own role, in a thread; with a key for everything."""
    given = ServingSettings(**{"key_seconds": 0.05, "champion_seconds": 0.05, **settings})
    with served(lambda: build_app(given, registry=registry, pool=serving_pool(as_api(dsn)))) as url:
        yield Api(url, new_key(dsn, key_name))


@contextmanager
def served(make: Callable[[], FastAPI]) -> Iterator[str]:
    """Run an application, made in the thread that runs it; gives its URL."""
    holder: dict[str, uvicorn.Server] = {}

    def run() -> None:
        holder["server"] = uvicorn.Server(uvicorn.Config(make(), port=0, access_log=False, log_config=None))
        holder["server"].run()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: "server" in holder and holder["server"].started and bool(holder["server"].servers))
    port = holder["server"].servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        holder["server"].should_exit = True
        thread.join(timeout=30)
        assert not thread.is_alive(), "the API did not end"


@contextmanager
def served_in_a_process(dsn: str, *arguments: str, environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """`python -m include.serving` on a free port; gives its URL. What it says goes to `log`."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "include.serving", "--port", "0", *arguments], cwd=CHECKOUT, stdout=output,
            stderr=output, env={**os.environ, "AIRFLOW_CONN_WAREHOUSE": connection(dsn), **environment},
        )  # fmt: skip
        try:
            until(lambda: "serving at http" in log.read_text() or process.poll() is not None, seconds=START_SECONDS)
            assert process.poll() is None, log.read_text()[-3000:]
            url = next(line for line in log.read_text().splitlines() if "serving at " in line).split("serving at ")[1]
            until(lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def until(is_so: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
    """Wait for something that must come."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False
