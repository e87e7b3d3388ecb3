"""One churn score in real time over HTTP, beside a FastAPI endpoint that answers a constant, and beside Feast's server.

Each server is one process with one worker, asked by SERVING_CALLERS (50) callers at once for SERVING_SECONDS (10)
seconds by a process of its own. Ours reads the features, computes those of the instant, scores them and gives reasons;
Feast's server only reads the same features, from the same Postgres.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from psycopg.conninfo import conninfo_to_dict

from bench.feast_peer.environment import FeastUnavailable, ask_feast, feast_python
from bench.feast_peer.repositories import postgres_repository
from bench.features_online import Latency
from bench.http_load import as_bytes
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.features.definitions.entity import CUSTOMER
from include.features.definitions.versions import current_version
from include.features.registry import FEATURE_VIEWS
from include.local.ports import free_port, is_free
from include.models.churn.inputs import INPUTS
from include.warehouse.connection import connect_warehouse
from tests.integration.serving_host import new_key, served_in_a_process, until
from tests.integration.serving_shop import AT, NEWEST, crown, fill_shop, registry_in, train_model

CHECKOUT = Path(__file__).resolve().parents[1]
CALLERS = int(os.environ.get("SERVING_CALLERS", "50"))
SECONDS = float(os.environ.get("SERVING_SECONDS", "10"))
CUSTOMERS = 2_000
PER_SECOND = 200
MODEL = "blend"


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under load."""

    per_second: float
    latency: Latency

    def __str__(self) -> str:
        return f"{self.per_second:,.0f} requests/s, {self.latency}"


def run() -> list[Result]:
    print(f"bench: serving, {CALLERS} callers, {SECONDS:g} s each (SERVING_CALLERS, SERVING_SECONDS)")
    with tempfile.TemporaryDirectory() as name, fresh_warehouse() as dsn:
        folder = Path(name)
        registry = registry_in(folder / "registry")
        with connect_warehouse(dsn) as conn:
            crown(registry, train_model(conn, fill_shop(conn, customers=CUSTOMERS), name=MODEL), model_id="bench")
        key = new_key(dsn, "bench")
        environment = {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'registry' / 'mlflow.db'}",
            "REGULARS_STORAGE": name,
        }
        with served_in_a_process(dsn, "--now", AT.isoformat(), environment=environment, log=folder / "log") as url:
            port = int(url.rsplit(":", 1)[1])
            until(lambda: _statuses(port, "/readyz", key) == {"200"})
            path = "/v1/customers/{}/churn"
            steady = _load(port, [as_bytes("GET", path.format(n), key=key) for n in range(1, CUSTOMERS)], PER_SECOND)
            ours = _load(port, [as_bytes("GET", path.format(n), key=key) for n in range(1, CUSTOMERS)])
        with _constant() as port:
            floor = _load(port, [as_bytes("GET", f"/constant/{n}") for n in range(1, CUSTOMERS)])
        feast = _feast(dsn, folder)
    return _results(ours, steady, floor, feast)


def _results(ours: Load, steady: Load, floor: Load, feast: Load | None) -> list[Result]:
    results = [
        Result(
            name="serving.churn_p99_at_200_per_second", value=steady.latency.p99, unit="ms",
            against=f"the clock: {CALLERS} callers who together send {PER_SECOND} requests a second", goal="≤ 25",
            detail=f"{steady}; counted from when each was due",
        ),
        Result(
            name="serving.churn_share_of_constant", value=100 * ours.per_second / floor.per_second, unit="%",
            against="a FastAPI endpoint that answers a constant, one worker as well", detail=f"{ours} against {floor}",
        ),
    ]  # fmt: skip
    if feast is not None:
        results.append(
            Result(
                name="serving.churn_throughput_times_feast", value=ours.per_second / feast.per_second, unit="times",
                against="Feast's feature server, which reads the same features and scores nothing", goal="≥ 3",
                detail=f"{ours} against {feast}",
            )
        )  # fmt: skip
    return results


def _statuses(port: int, path: str, key: str) -> set[str]:
    asked = {"port": port, "requests": [as_bytes("GET", path, key=key)], "callers": 1, "seconds": 0.01}
    return set(_measured(asked)["statuses"])


def _load(port: int, requests: list[str], per_second: float | None = None) -> Load:
    asked = {"port": port, "requests": requests, "callers": CALLERS, "seconds": SECONDS, "per_second": per_second}
    _measured({**asked, "seconds": 1})
    measured = _measured(asked)
    assert set(measured["statuses"]) == {"200"}, measured["statuses"]
    p50, p99 = np.percentile(measured["seconds"], [50, 99]) * 1000
    return Load(len(measured["seconds"]) / measured["took"], Latency(float(p50), float(p99)))


def _measured(asked: dict) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "bench.http_load"], cwd=CHECKOUT, input=json.dumps(asked), capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def _process(command: list[str], port: int, **options: object) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
    try:
        until(lambda: not is_free(port) or process.poll() is not None)
        assert process.poll() is None, f"{command[0]} ended with code {process.returncode}"
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def _constant() -> Iterator[int]:
    port = free_port()
    with _process([sys.executable, "-m", "bench.serving_constant", str(port)], port, cwd=CHECKOUT) as started:
        yield started


def _feast(dsn: str, folder: Path) -> Load | None:
    """Feast's own server on what it materialized into the same Postgres."""
    try:
        python = feast_python()
    except FeastUnavailable as error:
        print(f"bench: serving runs without Feast: {error}", flush=True)
        return None
    views = [view for view in FEATURE_VIEWS.values() if view.entity == CUSTOMER]
    with connect_warehouse(dsn) as conn:
        repository = postgres_repository(folder / "feast", dsn, *[current_version(conn, view) for view in views])
    ask_feast(
        dsn, repository=str(repository), apply=True, wanted="materialize", views=[view.name for view in views],
        start=(NEWEST - (AT - NEWEST)).isoformat(), end=AT.isoformat(),
    )  # fmt: skip
    features = [f"{each.view}:{each.name}" for each in INPUTS.values() if each.view]
    port = free_port()
    serve = ["serve", "--port", str(port), "--workers", "1", "--no-access-log"]
    command = [str(python.with_name("feast")), "--chdir", str(repository), *serve]
    environment = os.environ | {"PGPASSWORD": str(conninfo_to_dict(dsn)["password"]), "FEAST_USAGE": "False"}
    with _process(command, port, env=environment):
        requests = [
            as_bytes("POST", "/get-online-features", body={"features": features, "entities": {"customer_id": [n]}})
            for n in range(1, CUSTOMERS)
        ]
        return _load(port, requests)
