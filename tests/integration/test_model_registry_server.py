"""The model registry over HTTP: an MLflow server started by the command of docker-compose.yaml, on a real Postgres.

The platform has MLflow's client alone; the server is in an environment of its own, made of what its image installs.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from bench.own_environment import own_python
from include.local.ports import free_port
from include.models.registry.errors import ArtefactDamaged, ModelMissing, RegistryUnreachable
from include.models.registry.model_registry import ModelRegistry
from tests.integration.registry_stores import at_once
from tests.unit.deployment_files import CHECKOUT, services

pytestmark = pytest.mark.slow

IMAGE = CHECKOUT / "deploy" / "mlflow.Dockerfile"
START_SECONDS = 180


def program() -> Path:
    """The `mlflow` of exactly the packages that the image installs."""
    (wanted,) = re.findall(r"^RUN pip install --no-cache-dir (.*)$", IMAGE.read_text(), re.MULTILINE)
    return own_python("mlflow", "\n".join(shlex.split(wanted)) + "\n").with_name("mlflow")


@pytest.fixture
def server(postgres_server, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Its address and its process; artefacts lie in `tmp_path`."""
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE mlflow_server")
    port = str(free_port())
    service = services()["mlflow"]
    changes = {"--host": "127.0.0.1", "--port": port, "--artifacts-destination": str(tmp_path / "artefacts")}
    words = [word.replace(":5000", f":{port}") for word in service["command"][1:]]
    words = [f"{name}={changes.get(name, value)}" if value else name for name, _, value in map(parted, words)]
    environment = {
        **os.environ, **service["environment"],
        "MLFLOW_BACKEND_STORE_URI": postgres_server.dsn("mlflow_server").replace("postgresql:", "postgresql+psycopg:"),
    }  # fmt: skip
    process = subprocess.Popen([str(program()), *words], env=environment, cwd=tmp_path)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
        while not is_well(address):
            assert process.poll() is None, "the server ended by itself"
            assert time.monotonic() < deadline, "the server does not come up"
            time.sleep(0.2)
        yield address, process
    finally:
        process.terminate()
        process.wait(timeout=30)
        with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
            admin.execute("DROP DATABASE mlflow_server WITH (FORCE)")


def parted(word: str) -> tuple[str, str, str]:
    return word.partition("=")


def is_well(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def register(registry: ModelRegistry, model_id: str):
    return registry.register(
        "churn", {"weights": [1.5, model_id]}, model_id=model_id, parameters={"horizon_days": 90},
        metrics={"training_rows": 5}, tags={"data_digest": "d" * 64}, card=f"# {model_id}\n",
    )  # fmt: skip


def test_a_model_lives_its_life_over_http(server, tmp_path, monkeypatch):
    address, process = server
    registry = ModelRegistry(address, "")
    ids = ["m-1", "m-2", "m-1", "m-3"]
    results = at_once(*(lambda model_id=model_id: register(registry, model_id) for model_id in ids))
    assert [kept.model_id for kept in results] == ids, results
    assert len(registry.versions("churn")) == 3
    by_id = {kept.model_id: kept for kept in registry.versions("churn")}
    for model_id, kept in by_id.items():
        assert registry.load("churn", kept.version) == {"weights": [1.5, model_id]}
        registry.set_alias("churn", kept.version, reason="newer")
    first, second, third = by_id.values()
    assert registry.rollback("churn", reason="bad").version == second.version
    held = [registry.holder_of("churn", alias).version for alias in ("champion", "previous")]
    assert held == [second.version, first.version]
    registry.add(third, metrics={"model.auc": 0.8}, files={"model_card.md": b"# judged\n"})
    assert registry.card("churn", third.version) == "# judged\n"
    with pytest.raises(ModelMissing, match="no version 9"):
        registry.load("churn", "9")

    [file] = (tmp_path / "artefacts").rglob(f"{first.run_id}/**/model.joblib")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ArtefactDamaged, match="was not opened"):
        registry.load("churn", first.version)
    file.unlink()
    with pytest.raises(ArtefactDamaged, match="is gone"):
        registry.load("churn", first.version)

    wrong_name = requests.get(f"{address}/api/2.0/mlflow/experiments/search", headers={"Host": "evil.example"})
    assert wrong_name.status_code == 403
    process.terminate()
    process.wait(timeout=30)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryUnreachable, match="Check that MLflow"):
        registry.holder_of("churn")
    with pytest.raises(RegistryUnreachable):
        registry.load("churn", second.version)
