"""The processes of the stack: started into sessions of their own, remembered in files, stopped for certain.

A part is remembered by process id *and* start time, so that a process id which the system has given to
somebody else meanwhile is never touched. Children of a part stay in its session, whatever they do.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from include.local.errors import LocalStackError, log_tail

_CLOCK_TOLERANCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process we started.

    :param started: Unix time of the process' start.
    :param log: where its output goes.
    """

    name: str
    pid: int
    started: float
    command: list[str]
    log: str

    @property
    def is_running(self) -> bool:
        """Whether this very process still lives."""
        return self._leader() is not None

    def processes(self) -> list[psutil.Process]:
        """The process and all it has started that still lives, also when it is gone itself."""
        leader = self._leader()
        if leader is None and psutil.pid_exists(self.pid) and not _is_zombie(self.pid):
            return []  # The process id belongs to somebody else now, and with it the session.
        found = [leader] if leader is not None else []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
                if process.pid != self.pid and os.getsid(process.pid) == self.pid and self._is_younger(process):
                    found.append(process)
        return found

    def _leader(self) -> psutil.Process | None:
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return process if abs(process.create_time() - self.started) < _CLOCK_TOLERANCE_SECONDS else None
        except psutil.Error:
            return None

    def _is_younger(self, process: psutil.Process) -> bool:
        return (
            process.create_time() > self.started - _CLOCK_TOLERANCE_SECONDS and process.status() != psutil.STATUS_ZOMBIE
        )


def start_part(
    *, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, logs: Path, cwd: Path
) -> Part:
    """Start a process in a session of its own and remember it in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # what our own callers start
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=cwd,
            env=dict(environment),
        )  # fmt: skip
    part = Part(name=name, pid=process.pid, started=_start_of(process.pid), command=list(command), log=str(log))
    fresh = folder / f"{name}.new"
    fresh.write_text(json.dumps(asdict(part), indent=1))
    fresh.replace(folder / f"{name}.json")
    # Popen objects are dropped on purpose: a part outlives the command that started it.
    process.returncode = 0
    return part


def known_parts(folder: Path) -> list[Part]:
    """Every part that was started and not stopped yet, running or not."""
    parts = []
    for path in sorted(folder.glob("*.json")):
        try:
            parts.append(Part(**json.loads(path.read_text())))
        except (ValueError, TypeError):
            path.unlink(missing_ok=True)
    return parts


def stop_parts(parts: Sequence[Part], *, folder: Path, deadline_seconds: float = 12) -> list[str]:
    """Ask the parts to end, all at once; kill what has not ended by the deadline, children included; forget them.

    Idle parts take 4 seconds. A scheduler waits for its running tasks; these may be killed at any point.

    :returns: names of the parts that were still running.
    :raises LocalStackError: a process survives SIGKILL.
    """
    running = [part for part in parts if part.is_running]
    for part in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(part.pid, signal.SIGTERM)
    deadline = time.monotonic() + deadline_seconds
    while time.monotonic() < deadline and any(part.is_running for part in running):
        _reap(running)
        time.sleep(0.05)
    left = [process for part in parts for process in part.processes()]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _, alive = psutil.wait_procs(left, timeout=10)
    stuck = [process.pid for process in alive if not _is_zombie(process.pid)]
    if stuck:
        raise LocalStackError(
            f"The processes {stuck} do not end, not even by SIGKILL; they may wait for a broken disk. "
            "Restart the machine, then run make down again."
        )
    for part in parts:
        (folder / f"{part.name}.json").unlink(missing_ok=True)
    return [part.name for part in running]


def check_alive(part: Part) -> None:
    """Raise when the part has ended by itself.

    :raises LocalStackError: with the end of its log.
    """
    _reap([part])
    if not part.is_running:
        raise LocalStackError(
            f"The part {part.name} has ended by itself. The end of its log {part.log}:\n{log_tail(Path(part.log))}\n"
            "Run this again; if it happens twice, run `make doctor`."
        )


def exit_code(part: Part) -> int | None:
    """Exit code of a part that this process started and that has ended, otherwise None."""
    try:
        pid, status = os.waitpid(part.pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if pid else None


def _reap(parts: Sequence[Part]) -> None:
    for part in parts:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(part.pid, os.WNOHANG)


def _start_of(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return time.time()


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
