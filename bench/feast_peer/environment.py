"""Feast in an environment of its own, made once by uv and kept in .local/feast; a changed lock makes another one."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

_LOCK = Path(__file__).with_name("requirements.txt")
_KEPT = Path(__file__).resolve().parents[2] / ".local" / "feast"


class FeastUnavailable(RuntimeError):
    """The environment cannot be made: uv is missing, or the package index cannot be reached."""


def feast_python() -> Path:
    """The interpreter that has Feast. The first call takes as long as the download of its packages.

    :raises FeastUnavailable: it cannot be made; what uv said is in the text.
    """
    _KEPT.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(_LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    environment = _KEPT / digest
    python, is_whole = environment / "bin" / "python", environment / "is_whole"
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_whole.exists():
            shutil.rmtree(environment, ignore_errors=True)
            _run("venv", "--quiet", "--python", sys.executable, str(environment))
            _run(
                "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "--requirement", str(_LOCK)
            )
            is_whole.touch()
    return python


def _run(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    try:
        done = subprocess.run([str(uv), *arguments], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FeastUnavailable(f"uv {arguments[0]} could not be run: {error}") from error
    if done.returncode:
        raise FeastUnavailable(f"uv {arguments[0]} failed: {done.stderr.strip()[-500:]}")


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
