"""Feast in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from bench.own_environment import own_python

_LOCK = Path(__file__).with_name("requirements.txt")


def feast_python() -> Path:
    """The interpreter that has Feast.

    :raises EnvironmentUnavailable: it cannot be made.
    """
    return own_python("feast", _LOCK.read_text())


def ask_feast(dsn: str, **asked: object) -> dict:
    """Run `bench/feast_peer/ask.py` in Feast's environment and give its answer.

    :param dsn: of the warehouse; Feast gets its password.
    """
    password = conninfo_to_dict(dsn)["password"]
    done = subprocess.run(
        [str(feast_python()), str(Path(__file__).with_name("ask.py"))],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env=os.environ | {"PGPASSWORD": str(password)},
    )
    if done.returncode:
        raise RuntimeError(f"Feast failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])
