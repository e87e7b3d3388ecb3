"""docs/api.md: its examples are run, and its tables hold what there is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.serving.keys import SCOPES
from include.serving.metrics import ApiMetrics
from include.warehouse.connection import connect_warehouse
from tests.integration.registry_stores import sqlite_registry
from tests.integration.serving_host import Api, api, until
from tests.integration.serving_shop import AT, crown, fill_shop, fill_tables, fill_values, train_model
from tests.own_database import own_database
from tests.unit.test_serving_openapi import PATHS

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
SERVING = GUIDE.parents[1] / "include" / "serving"


@pytest.fixture(scope="module")
def running(postgres_server, tmp_path_factory) -> Iterator[Api]:
    registry = sqlite_registry(tmp_path_factory.mktemp("registry"))
    with own_database(postgres_server, "serving_docs") as dsn:
        with connect_warehouse(dsn) as conn:
            crown(registry, train_model(conn, fill_shop(conn)), model_id="first")
            fill_tables(conn)
            fill_values(conn)
        with api(dsn, registry=lambda: registry, clock=lambda: AT) as started:
            until(lambda: started.get("/readyz").status_code == 200)
            yield started


def examples() -> list[str]:
    """Every command of the guide that asks the API."""
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [command for block in blocks for command in re.split(r"\n(?=curl )", block.strip())]


@pytest.mark.parametrize("command", examples())
def test_an_example_answers_what_it_promises(running, command):
    assert shutil.which("curl"), "the examples want curl"
    ended = subprocess.run(
        ["bash", "-ec", f'{command} --fail-with-body'],
        env={**os.environ, "API": running.url, "KEY": running.key, "no_proxy": "*"}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)


def test_every_path_that_needs_a_key_has_an_example():
    text = "\n".join(examples())
    for path in PATHS:
        if path.startswith("/v1/"):
            assert re.search(re.sub(r"\{\w+\}", r"\\d+", path), text), path


def test_the_tables_name_every_scope_metric_and_kind_of_problem():
    guide = GUIDE.read_text()
    assert set(re.findall(r"^\| `(\w+:read)`", guide, flags=re.MULTILINE)) == set(SCOPES)
    metrics = {line.split()[2] for line in ApiMetrics().as_text().decode().splitlines() if line.startswith("# TYPE")}
    told = set(re.findall(r"^\| `(regulars_api_\w+)`", guide, flags=re.MULTILINE))
    assert told == {name for name in metrics if not name.endswith("_created")}
    code = "".join(path.read_text() for path in SERVING.rglob("*.py"))
    kinds = set(re.findall(r'ProblemError\(\s*\d+,\s*"([a-z-]+)"', code)) | {"invalid-request"}
    table = guide.split("## Limits and errors")[1].split("##")[0]
    assert kinds == set(re.findall(r"`([a-z]+-[a-z-]+|overloaded)`", table)) - {"about:blank"}
