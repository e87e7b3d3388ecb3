"""A real Redis server for tests: in memory, on a free port, gone with the block."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from include.local.ports import free_port

START_SECONDS = 30
NEEDS_REDIS = pytest.mark.needs_program("redis-server", package="redis-tools")


@contextmanager
def redis_server() -> Iterator[str]:
    """Run Redis; gives its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", folder],
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + START_SECONDS
            client = redis.Redis(port=port)
            while not _answers(client):
                output.seek(0)
                assert process.poll() is None, f"Redis ended with code {process.returncode}: {output.read()[-2000:]}"
                assert time.monotonic() < deadline, f"Redis did not answer after {START_SECONDS} s"
                time.sleep(0.02)
            client.close()
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
