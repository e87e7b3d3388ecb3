"""One command at a time per stack."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator

import psutil

from include.local.errors import LocalStackError
from include.local.places import Places

END_SECONDS = 60
"""So long a command that was asked to end may take."""


@contextlib.contextmanager
def my_turn(places: Places, *, command: str) -> Iterator[None]:
    """Hold the stack for the length of a command.

    :raises LocalStackError: another command is at work on this stack, or `.local` cannot be written.
    """
    try:
        places.home.mkdir(parents=True, exist_ok=True)
        file = (places.home / "turn").open("a+")
    except OSError as error:
        raise LocalStackError(
            f"Cannot write to {places.home}: {error.strerror}. Everything lives there: make the folder writable and "
            "see that the disk has room."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise LocalStackError(
                f"Another command is at work on {places.home}: {file.read() or 'unknown'}. Wait for it, or end it "
                "with make down."
            ) from error
        file.truncate(0)
        file.write(json.dumps({"command": command, "pid": os.getpid()}))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def end_other_command(places: Places) -> str | None:
    """Ask the command that holds the stack to end, and wait until it has.

    :returns: its name, or None when nobody held the stack.
    :raises LocalStackError: it did not end in time.
    """
    path = places.home / "turn"
    if not path.exists():
        return None
    name: str | None = None
    deadline = time.monotonic() + END_SECONDS
    with path.open("r+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return name
            except OSError:
                file.seek(0)
                with contextlib.suppress(ValueError, KeyError, ProcessLookupError):
                    holder = json.loads(file.read())
                    if name is None and psutil.pid_exists(holder["pid"]):
                        # The lock is held, so its writer lives: this process id is not somebody else's.
                        name = holder["command"]
                        os.kill(holder["pid"], signal.SIGTERM)
            if time.monotonic() > deadline:
                raise LocalStackError(f"{name or 'Another command'} holds {path} and does not end. End it by hand.")
            time.sleep(0.1)
