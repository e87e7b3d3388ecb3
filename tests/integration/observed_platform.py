"""A platform to be watched: real loads into a real warehouse, and `/metrics` of it served by a real process."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.ingestion.network_store import postgres_network
from include.ingestion.service import IngestionService, service_in_postgres
from include.sources.factory import SOURCES
from include.warehouse.connection import connect_warehouse
from tests.integration.ingestion_shop import settings_of
from tests.integration.sandbox_process import ROOT, SandboxProcess
from tests.own_database import connection

START_SECONDS = 60
QUICK = {"limits": {"attempts": 3, "first_wait_seconds": 0.001, "circuit_failures": 3, "circuit_seconds": 3600}}


@dataclass(frozen=True)
class Platform:
    """Loads from a sandbox into a warehouse, each step as its task would do it."""

    dsn: str
    box: SandboxProcess
    landing: Landing

    def load(self, entity: str, window: Window, *, at: datetime | None = None) -> None:
        """All three steps; the receipts say that they were written `at`."""
        with self._service(entity, at) as service:
            asyncio.run(service.run(window))

    def extract(self, entity: str, window: Window, *, at: datetime | None = None) -> None:
        """The first step alone."""
        with self._service(entity, at) as service:
            asyncio.run(service.extract(window))

    def ask_a_dead_host(self, window: Window) -> None:
        """An extraction from a port where nobody listens; it fails, and opens the host's circuit."""
        with self._service("orders", None, base_url="http://127.0.0.1:1") as service:
            try:
                asyncio.run(service.extract(window))
            except Exception:
                return
        raise AssertionError("nobody listens on port 1, and yet there was an answer")

    def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """A statement in a transaction of its own."""
        with connect_warehouse(self.dsn) as conn:
            cursor = conn.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def _service(self, entity: str, at: datetime | None, **shop: Any) -> Iterator[IngestionService]:
        connection, build = SOURCES[entity]
        settings = settings_of(self.box, shop_api={"extra": QUICK, **shop})[connection]
        source = build(settings, network=postgres_network(self.dsn))
        with connect_warehouse(self.dsn) as conn:
            yield service_in_postgres(conn, source, landing=self.landing, clock=lambda: at or datetime.now(UTC))


def metrics_command(dsn: str, *words: str) -> dict[str, Any]:
    """Arguments for `subprocess` to run the metrics of a warehouse."""
    return {
        "args": [sys.executable, "-m", "include.ingestion.metrics", *words],
        "cwd": ROOT,
        "env": {**os.environ, "AIRFLOW_CONN_WAREHOUSE": connection(dsn)},
        "text": True,
    }


@contextmanager
def metrics_server(dsn: str) -> Iterator[str]:
    """Serve `/metrics` of a warehouse as long as the block lasts; gives its URL."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(**metrics_command(dsn, "--port=0"), stdout=output, stderr=output)
        try:
            yield _address(process, output)
        finally:
            process.terminate()
            process.wait(timeout=10)


def _address(process: subprocess.Popen[str], output: Any) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll()
        output.seek(0)
        printed = output.read()
        if found := re.search(r"serving at (http://\S+)", printed):
            return found[1]
        assert ended is None, f"the metrics ended with code {ended}: {printed}"
        time.sleep(0.02)
    raise AssertionError(f"the metrics did not serve within {START_SECONDS} s: {printed}")


def scrape(url: str) -> str:
    """The exposition at `url`."""
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return answer.text


def landing_in(folder: Path) -> Landing:
    """An empty landing."""
    from upath import UPath

    return Landing(UPath(folder))
