"""Steps of ingestion in processes of their own, which may be killed anywhere.

Processes are forked from a server that has everything imported, so that one costs a fraction of a second. A process
can be told to kill itself (SIGKILL) just before the nth time that a given line of the platform is run.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from great_expectations import expectations as _warm  # noqa: F401  # takes seconds, once in the server

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.warehouse.connection import connect_warehouse
from tests.integration.ingestion_shop import service, source_of
from tests.integration.sandbox_process import SandboxProcess
from tests.soak.stage import small_pages

_PLATFORM = str(Path(__file__).resolve().parents[2] / "include")
_WATCHED = tuple(f"{_PLATFORM}/{part}/" for part in ("ingestion", "sources", "warehouse"))
DEADLINE_SECONDS = 120

Line = tuple[str, int]
"""A file of the platform and a line in it."""


@dataclass(frozen=True)
class Kill:
    """Die just before the `hit`th time that `line` is run; or stop this Postgres there, at once, and go on.

    :param postmaster: process id of the server.
    """

    line: Line
    hit: int
    postmaster: int | None = None

    def __str__(self) -> str:
        file, number = self.line
        return f"{file.removeprefix(_PLATFORM)}:{number} at its hit {self.hit}"


@dataclass(frozen=True)
class Attempt:
    """One step, or all three with `step` None, as a task would run it.

    :param batch: for validate and load.
    """

    box: SandboxProcess
    dsn: str
    landing: Path
    entity: str
    window: Window
    now: datetime
    step: str | None = None
    batch: str | None = None

    def run(self) -> str:
        """Run it in this process and give the batch's name."""
        source = source_of(self.box, self.entity)
        with connect_warehouse(self.dsn) as conn, small_pages():
            ingestion = service(conn, source, Landing(self.landing), now=self.now)
            batch = self.batch
            if self.step in (None, "extract"):
                batch = asyncio.run(ingestion.extract(self.window)).batch
            assert batch is not None
            if self.step in (None, "validate"):
                ingestion.validate(self.window, batch=batch)
            if self.step in (None, "load"):
                ingestion.load(self.window, batch=batch)
        return batch


@dataclass
class Ended:
    """How a process ended: with a batch, an error, or by a signal (then both are None)."""

    exit_code: int | None
    batch: str | None
    error: str | None
    hits: Counter[Line]

    @property
    def was_killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


class Started:
    """An attempt under way in a process of its own."""

    def __init__(
        self, attempt: Attempt, *, kill: Kill | None = None, is_counting: bool = False, gate: Any = None
    ) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.soak.attempts"])
        self._told, told = context.Pipe(duplex=False)
        self.process = context.Process(target=_child, args=(attempt, told, kill, is_counting, gate))
        self.process.start()
        told.close()

    def kill(self) -> None:
        """End it without warning."""
        if self.process.is_alive():
            self.process.kill()

    def wait(self) -> Ended:
        """Wait for its end.

        :raises TimeoutError: it did not end in time and was killed.
        """
        batch = error = None
        hits: Counter[Line] = Counter()
        try:
            if self._told.poll(DEADLINE_SECONDS):
                batch, error, hits = self._told.recv()
        except EOFError:
            pass
        self.process.join(DEADLINE_SECONDS)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"an attempt did not end within {DEADLINE_SECONDS} s")
        return Ended(self.process.exitcode, batch, error, hits)


def gate_for(count: int) -> Any:
    """A barrier at which so many attempts wait for one another."""
    return multiprocessing.get_context("forkserver").Barrier(count)


def _child(attempt: Attempt, told: Any, kill: Kill | None, is_counting: bool, gate: Any) -> None:
    hits: Counter[Line] = Counter()
    if kill is not None:
        _trace((kill.line[0],), _killer(kill))
    elif is_counting:
        _trace(_WATCHED, lambda line: hits.update((line,)))
    if gate is not None:
        gate.wait(DEADLINE_SECONDS)
    batch = error = None
    try:
        batch = attempt.run()
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    sys.settrace(None)
    told.send((batch, error, hits))
    told.close()


def _killer(kill: Kill) -> Callable[[Line], None]:
    left = iter(range(kill.hit, 0, -1))

    def meet(line: Line) -> None:
        if line == kill.line and next(left, 0) == 1:
            if kill.postmaster is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                stop_at_once(kill.postmaster)

    return meet


def stop_at_once(postmaster: int) -> None:
    """Stop a Postgres in immediate mode: nothing is finished, nothing is written out."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(postmaster)
        process.send_signal(signal.SIGQUIT)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:  # its parent may not ask for it
            if time.monotonic() > deadline:
                raise TimeoutError(f"the server {postmaster} did not stop within {DEADLINE_SECONDS} s")
            time.sleep(0.01)


def _trace(files: tuple[str, ...], meet: Callable[[Line], None]) -> None:
    """Call `meet` before each line that is run in these files, in every thread."""

    def on_line(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            meet((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        return on_line if frame.f_code.co_filename.startswith(files) else None

    threading.settrace(on_call)
    sys.settrace(on_call)
