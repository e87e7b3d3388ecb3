"""Programs that do not go along with ours, each in an environment of its own: made once by uv and kept in .local."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

_KEPT = Path(__file__).resolve().parents[1] / ".local"


class EnvironmentUnavailable(RuntimeError):
    """The environment cannot be made: uv is missing, or the package index cannot be reached."""


def own_python(name: str, requirements: str) -> Path:
    """The interpreter of the environment that holds them. The first call takes as long as the download.

    :param name: its folder in .local; other requirements make another environment there.
    :param requirements: the text of a requirements file.
    :raises EnvironmentUnavailable: it cannot be made; what uv said is in the text.
    """
    kept = _KEPT / name
    kept.mkdir(parents=True, exist_ok=True)
    environment = kept / hashlib.sha256((requirements + sys.version).encode()).hexdigest()[:12]
    python, wanted, is_whole = environment / "bin" / "python", environment / "wanted.txt", environment / "is_whole"
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_whole.exists():
            shutil.rmtree(environment, ignore_errors=True)
            _run("venv", "--quiet", "--python", sys.executable, str(environment))
            wanted.write_text(requirements)
            _run("pip", "install", "--quiet", "--python", str(python), "--requirement", str(wanted))
            is_whole.touch()
    return python


def _run(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    try:
        done = subprocess.run([str(uv), *arguments], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentUnavailable(f"uv {arguments[0]} could not be run: {error}") from error
    if done.returncode:
        raise EnvironmentUnavailable(f"uv {arguments[0]} failed: {done.stderr.strip()[-500:]}")
