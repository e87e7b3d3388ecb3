"""The unit tests of the service stand alone: no server, no other process, nothing that takes seconds to import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/unit/test_ingestion_service.py"
REACHING_OUT = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "subprocess.Popen", "os.fork")
SLOW_TO_IMPORT = ("great_expectations", "airflow", "sklearn", "boto3")
ALONE = f"""
import sys
import pytest

def refuse(event, arguments):
    if event in {REACHING_OUT!r}:
        raise RuntimeError(f"a unit test of the service does {{event}}: {{arguments}}")

sys.addaudithook(refuse)
code = pytest.main(["-q", "-p", "no:cacheprovider", {TESTS!r}])
imported = sorted(set({SLOW_TO_IMPORT!r}) & set(sys.modules))
print("imported:", imported)
sys.exit(int(code) or bool(imported))
"""


def run_alone(code: str) -> subprocess.CompletedProcess[str]:
    """Without other plugins of pytest, some of which import what is slow."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_services_unit_tests_reach_for_no_server_and_import_nothing_slow():
    ended = run_alone(ALONE)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_test_that_reached_for_a_server_would_be_told():
    reaching = "import socket; socket.create_connection(('127.0.0.1', 9))"
    ended = run_alone(ALONE.replace("code = pytest.main", f"{reaching}\ncode = pytest.main"))
    assert ended.returncode != 0
    assert "a unit test of the service does socket." in ended.stderr
