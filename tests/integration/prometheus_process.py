"""A real Prometheus for tests: with the deployment's own rules, on a free port, gone with the block."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from include.local.ports import free_port

START_SECONDS = 60
SCRAPE_SECONDS = 0.5


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    url: str
    started: float

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        return self._get("query", query=expression)["result"]

    def ever(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gave at any time since Prometheus runs."""
        return self._get("query_range", query=expression, start=self.started, end=time.time(), step="0.5")["result"]

    def rules(self) -> list[dict[str, Any]]:
        """Every alert rule with its state, health and alerts."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait_for_scrapes(self, count: int = 2) -> None:
        """Until every target has been asked `count` more times, whether or not it answered."""
        before = self._scrapes()
        deadline = time.monotonic() + START_SECONDS
        while any(self._scrapes().get(target, 0) < asked + count for target, asked in before.items()) or not before:
            assert time.monotonic() < deadline, f"Prometheus does not scrape: {before}, {self._scrapes()}"
            time.sleep(0.1)
            before = before or self._scrapes()

    def _scrapes(self) -> dict[str, float]:
        found = self.query("count_over_time(up[1h])")
        return {series["metric"]["instance"]: float(series["value"][1]) for series in found}

    def _get(self, path: str, **parameters: Any) -> Any:
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        told = answer.json()
        assert told["status"] == "success", (parameters, told)
        return told["data"]


@contextmanager
def prometheus(folder: Path, *, rules: Path, targets: Mapping[str, list[str]]) -> Iterator[Prometheus]:
    """Run Prometheus with short intervals.

    :param rules: a file of rules.
    :param targets: `host:port` by job.
    """
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS * 1000:.0f}ms", "scrape_timeout": "500ms",
                   "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()
        ],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            started = time.time()
            _wait_until_ready(process, output, url=f"http://127.0.0.1:{port}")
            yield Prometheus(f"http://127.0.0.1:{port}", started)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_until_ready(process: subprocess.Popen[bytes], output: Any, *, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            output.seek(0)
            raise AssertionError(f"Prometheus ended with code {process.returncode}: {output.read()[-2000:]}")
        try:
            if requests.get(f"{url}/-/ready", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus was not ready after {START_SECONDS} s")
