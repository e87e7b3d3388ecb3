"""A real sandbox process for tests: started on a free port, checked by its token, stopped by its process id."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
_START_DEADLINE_SECONDS = 300


@dataclass(frozen=True)
class SandboxProcess:
    """A running sandbox: where it is, what it accepts, and handles on its control routes."""

    base_url: str
    port: int
    process_id: int
    consumer_key: str
    consumer_secret: str
    event_token: str
    stock_key: str

    @property
    def key(self) -> tuple[str, str]:
        """Consumer key and secret, for `requests`' auth."""
        return self.consumer_key, self.consumer_secret

    def get(self, path: str, **parameters: Any) -> requests.Response:
        """GET a WooCommerce path below `/wp-json/wc/v3`, authenticated."""
        return requests.get(f"{self.base_url}/wp-json/wc/v3{path}", params=parameters, auth=self.key, timeout=60)

    def pages(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        """All records of a WooCommerce collection, page by page."""
        records: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = self.get(path, **{"per_page": 100, **parameters, "page": page})
            answer.raise_for_status()
            records += answer.json()
            if page >= int(answer.headers["X-WP-TotalPages"]):
                return records
            page += 1

    def events(self, **parameters: Any) -> requests.Response:
        """One page of the event export, authenticated."""
        headers = {"Authorization": f"Bearer {self.event_token}"}
        return requests.get(f"{self.base_url}/v1/export/events", params=parameters, headers=headers, timeout=60)

    def health(self) -> dict[str, Any]:
        """What the sandbox says of itself."""
        return self._control("GET", "health")

    def set_clock(self, now: str) -> None:
        """Show the shop as it was at this ISO 8601 instant."""
        self._control("POST", "clock", {"now": now})

    def edit(self, collection: str, key: int, **change: Any) -> dict[str, Any]:
        """Change a record: `modified_at`, `set`, `quantities`."""
        return self._control("POST", f"{collection}/{key}/edit", change)

    def add_fault(self, **fault: Any) -> None:
        """Put a fault in force."""
        self._control("POST", "faults", fault)

    def clear_faults(self) -> None:
        """No more faults."""
        self._control("DELETE", "faults")

    def requests(self) -> list[dict[str, Any]]:
        """The API requests answered so far, oldest first."""
        return self._control("GET", "requests")

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.base_url}/_sandbox/{path}", json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()


@contextmanager
def sandbox(
    *,
    customers: int = 60,
    seed: int = 1,
    data: Path | None = None,
    latency_ms: float = 0.0,
    utc_offset_hours: float = 0.0,
) -> Iterator[SandboxProcess]:
    """Run a sandbox as long as the block lasts.

    :raises RuntimeError: the process ended or did not answer in time; holds what it printed.
    """
    names = ("SANDBOX_CONSUMER_KEY", "SANDBOX_CONSUMER_SECRET", "SANDBOX_EVENT_TOKEN", "SANDBOX_STOCK_KEY")
    given = {name: f"{name.rpartition('_')[2].lower()}_{secrets.token_hex(8)}" for name in names}
    instance = secrets.token_hex(8)
    command = [sys.executable, "-m", "include.local.sandbox", "--port", "0", "--instance", instance]
    command += ["--seed", str(seed), "--customers", str(customers), "--latency-ms", str(latency_ms)]
    command += ["--utc-offset-hours", str(utc_offset_hours)]
    command += ["--data", str(data)] if data else []
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | given, stdout=output, stderr=subprocess.STDOUT, text=True
        )
        try:
            base_url = _wait_until_serving(process, output, instance=instance)
            yield SandboxProcess(
                base_url,
                int(base_url.rpartition(":")[2]),
                process.pid,
                *(given[name] for name in names),
            )
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_serving(process: subprocess.Popen[str], output: Any, *, instance: str) -> str:
    deadline = time.monotonic() + _START_DEADLINE_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll()
        output.seek(0)
        printed = output.read()
        if ended is not None:
            raise RuntimeError(f"The sandbox ended with code {ended}: {printed}")
        if " at http://" in printed:
            base_url = "http://" + printed.partition(" at http://")[2].split()[0]
            try:
                if requests.get(f"{base_url}/_sandbox/health", timeout=5).json()["instance"] == instance:
                    return base_url
            except (requests.ConnectionError, ValueError):
                pass
        time.sleep(0.02)
    raise RuntimeError(f"The sandbox did not serve within {_START_DEADLINE_SECONDS} s: {printed}")
