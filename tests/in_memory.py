"""Files of a test run lie in memory where there is room: the disk takes longer than what most tests do.

A database is copied for each test that writes, and Airflow's and MLflow's SQLite waits for the disk at every commit.
Set TMPDIR, and the files lie there and stay; in memory they go with the run.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30


def has_room(folder: Path) -> bool:
    """Whether it can be written to, programs in it can be run, and a whole test run fits."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    may_run = not os.statvfs(folder).f_flag & os.ST_NOEXEC
    return may_run and shutil.disk_usage(folder).free >= ROOM_BYTES


def remove_leftovers() -> None:
    """What runs left that were killed; a server that still runs on such files ends when they are gone."""
    for lock in MEMORY.glob("regulars-tests-*/lock"):
        with contextlib.suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


# The workers of the run are told of it by their environment.
if "TMPDIR" not in os.environ and has_room(MEMORY):
    remove_leftovers()
    folder = tempfile.mkdtemp(prefix="regulars-tests-", dir=MEMORY)
    held = (Path(folder) / "lock").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TMPDIR"] = tempfile.tempdir = folder
