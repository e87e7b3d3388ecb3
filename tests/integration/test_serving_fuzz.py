"""The API against its own description: Schemathesis thinks up requests, good and bad, and checks every answer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from include.warehouse.connection import connect_warehouse
from tests.integration.registry_stores import sqlite_registry
from tests.integration.serving_host import Api, api, until
from tests.integration.serving_shop import AT, crown, fill_shop, fill_tables, fill_values, train_model
from tests.unit.test_serving_openapi import PATHS

SEED = int(os.environ.get("SERVING_FUZZ_SEED", "1"))
EXAMPLES = int(os.environ.get("SERVING_FUZZ_EXAMPLES", "20"))
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def test_no_request_breaks_it_and_every_answer_is_as_described(warehouse_dsn, tmp_path):
    """SERVING_FUZZ_EXAMPLES and SERVING_FUZZ_SEED make it longer, or repeat one that failed."""
    registry = sqlite_registry(tmp_path / "registry")
    with connect_warehouse(warehouse_dsn) as conn:
        crown(registry, train_model(conn, fill_shop(conn)), model_id="first")
        fill_tables(conn)
        fill_values(conn)
    with api(warehouse_dsn, registry=lambda: registry, clock=lambda: AT) as running:
        until(lambda: running.get("/readyz").status_code == 200)
        before = answers(running)
        ended = subprocess.run(
            [
                str(SCHEMATHESIS), "run", f"{running.url}/openapi.json", "--checks=all", f"--max-examples={EXAMPLES}",
                f"--seed={SEED}", f"--header=Authorization: Bearer {running.key}", "--continue-on-failure",
                "--suppress-health-check=all", "--no-color", "--warnings=off",
            ],
            capture_output=True, text=True, cwd=tmp_path, timeout=540,
        )  # fmt: skip
        print(f"seed {SEED}")
        assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
        asked = answers(running) - before
    assert not [each for each in asked if each[1] >= "500"]
    answered = {route for route, status in asked if status == "200"}
    assert set(PATHS) <= answered, "a path that never answers 200 was not really tried"


def answers(running: Api) -> Counter[tuple[str, str]]:
    """How often each path gave each status so far, by the API's own count."""
    found = re.findall(
        r'regulars_api_requests_total\{route="([^"]+)",status="(\d+)"\} (\d+)', running.get("/metrics").text
    )
    return Counter({(route, status): int(count) for route, status, count in found})
