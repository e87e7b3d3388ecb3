"""One home for all end-to-end tests: Airflow's metadata is made once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `.local` is to a checkout."""
    return tmp_path_factory.mktemp("e2e") / "home"


@pytest.fixture(scope="session")
def local(home: Path) -> Iterator[Command]:
    """Runs a command of the local stack as `make` does; everything is down at the end."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "REGULARS_STARTED_AT"}
        return subprocess.run(
            [sys.executable, "-m", "include.local", *words, "--home", str(home)], cwd=CHECKOUT, capture_output=True,
            text=True, timeout=600, stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip

    yield run
    run("down")
