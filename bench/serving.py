"""One churn score in real time over HTTP, beside a FastAPI endpoint that answers a constant, and beside Feast's server.

Each server is one process with one worker, asked by SERVING_CALLERS (50) callers at once for SERVING_SECONDS (5)
seconds by a process of its own; all are asked in turns, and figures are medians of SERVING_ROUNDS (3). Ours reads the
features, computes those of the instant, scores them and gives reasons; Feast's server only reads the same features,
from the same Postgres.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from psycopg.conninfo import conninfo_to_dict

from bench.feast_peer.environment import ask_feast, feast_python
from bench.feast_peer.repositories import postgres_repository
from bench.features_online import Latency
from bench.http_load import as_bytes
from bench.own_environment import EnvironmentUnavailable
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.features.definitions.entity import CUSTOMER
from include.features.definitions.versions import current_version
from include.features.registry import FEATURE_VIEWS
from include.local.ports import free_port, is_free
from include.models.churn.inputs import INPUTS
from include.warehouse.connection import connect_warehouse
from tests.integration.registry_stores import sqlite_registry
from tests.integration.serving_host import new_key, served_in_a_process, until
from tests.integration.serving_shop import AT, NEWEST, crown, fill_shop, train_model

CHECKOUT = Path(__file__).resolve().parents[1]
CALLERS = int(os.environ.get("SERVING_CALLERS", "50"))
SECONDS = float(os.environ.get("SERVING_SECONDS", "5"))
ROUNDS = int(os.environ.get("SERVING_ROUNDS", "3"))
CUSTOMERS = int(os.environ.get("SERVING_CUSTOMERS", "2000"))
PER_SECOND = 200
MODEL = "blend"


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under load."""

    per_second: float
    latency: Latency

    @classmethod
    def median(cls, rounds: list[Load]) -> Load:
        """Of several rounds, each figure by itself."""
        figures = [(each.per_second, each.latency.p50, each.latency.p99) for each in rounds]
        per_second, p50, p99 = (float(figure) for figure in np.median(figures, axis=0))
        return cls(per_second, Latency(p50, p99))

    def __str__(self) -> str:
        return f"{self.per_second:,.0f} requests/s, {self.latency}"


def run() -> list[Result]:
    print(f"bench: serving, {CALLERS} callers, {ROUNDS} rounds of {SECONDS:g} s (SERVING_CALLERS, _ROUNDS, _SECONDS)")
    with tempfile.TemporaryDirectory() as name, fresh_warehouse() as dsn, ExitStack() as servers:
        folder = Path(name)
        ours, key = servers.enter_context(_ours(dsn, folder))
        floor = servers.enter_context(_constant())
        feast = servers.enter_context(_feast(dsn, folder))
        numbers = range(1, CUSTOMERS)
        scores = [as_bytes("GET", f"/v1/customers/{number}/churn", key=key) for number in numbers]
        asked: dict[str, tuple[int, list[str], float | None]] = {
            "steady": (ours, scores, PER_SECOND),
            "ours": (ours, scores, None),
            "floor": (floor, [as_bytes("GET", f"/constant/{number}") for number in numbers], None),
        }
        if feast is not None:
            asked["feast"] = (feast, [_feast_question(number) for number in numbers], None)
        rounds = [{each: _load(*question) for each, question in asked.items()} for _ in range(ROUNDS)]
    loads = {each: Load.median([one[each] for one in rounds]) for each in asked}
    return _results(loads["ours"], loads["steady"], loads["floor"], loads.get("feast"))


@contextmanager
def _ours(dsn: str, folder: Path) -> Iterator[tuple[int, str]]:
    """The API with a champion, and a key for it."""
    registry = sqlite_registry(folder / "registry")
    with connect_warehouse(dsn) as conn:
        crown(registry, train_model(conn, fill_shop(conn, customers=CUSTOMERS), name=MODEL), model_id="bench")
    key = new_key(dsn, "bench")
    address = f"sqlite:///{folder / 'registry' / 'mlflow.db'}"
    environment = {"MLFLOW_TRACKING_URI": address, "REGULARS_STORAGE": str(folder)}
    with served_in_a_process(dsn, "--now", AT.isoformat(), environment=environment, log=folder / "log") as url:
        port = int(url.rsplit(":", 1)[1])
        until(lambda: _statuses(port, "/readyz", key) == {"200"})
        yield port, key


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
def _process(command: list[str], port: int, *, environment: dict[str, str] | None = None) -> Iterator[int]:
    process = subprocess.Popen(
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
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
    with _process([sys.executable, "-m", "bench.serving_constant", str(port)], port) as started:
        yield started


@contextmanager
def _feast(dsn: str, folder: Path) -> Iterator[int | None]:
    """Feast's own server on what it materialized into the same Postgres; None where Feast cannot be had."""
    try:
        python = feast_python()
    except EnvironmentUnavailable as error:
        print(f"bench: serving runs without Feast: {error}", flush=True)
        yield None
        return
    views = [view for view in FEATURE_VIEWS.values() if view.entity == CUSTOMER]
    with connect_warehouse(dsn) as conn:
        repository = postgres_repository(folder / "feast", dsn, *[current_version(conn, view) for view in views])
    ask_feast(
        dsn, repository=str(repository), apply=True, wanted="materialize", views=[view.name for view in views],
        start=(NEWEST - (AT - NEWEST)).isoformat(), end=AT.isoformat(),
    )  # fmt: skip
    port = free_port()
    serve = ["serve", "--port", str(port), "--workers", "1", "--no-access-log", "--max-requests", "0"]
    command = [str(python.with_name("feast")), "--chdir", str(repository), *serve]
    environment = os.environ | {"PGPASSWORD": str(conninfo_to_dict(dsn)["password"]), "FEAST_USAGE": "False"}
    with _process(command, port, environment=environment) as started:
        yield started


def _feast_question(customer: int) -> str:
    """The features of views that the model may read."""
    features = [f"{each.view}:{each.name}" for each in INPUTS.values() if each.view]
    return as_bytes(
        "POST", "/get-online-features", body={"features": features, "entities": {"customer_id": [customer]}}
    )
