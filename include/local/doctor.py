"""`make doctor`: what is missing or wrong on this machine, and how to mend it. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.local.errors import LocalStackError
from include.local.parts import known_parts
from include.local.places import CHECKOUT, Places
from include.local.ports import LOOPBACK
from include.local.postgres import MAJOR_VERSION, PostgresServer, binaries_folder
from include.local.progress import Progress
from include.local.unprivileged import run_as

NEEDED_DISK_BYTES = 2_000_000_000
NEEDED_MEMORY_BYTES = 3_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at.

    :param mend: what to do about it; empty when nothing is wrong.
    :param is_broken: whether the stack cannot work like this; what is merely worth knowing is not broken.
    """

    about: str
    text: str
    mend: str = ""
    is_broken: bool = False


def doctor(*, places: Places, progress: Progress) -> bool:
    """Print every finding; returns whether nothing is broken."""
    findings = list(examine(places))
    for finding in findings:
        mark = "BROKEN" if finding.is_broken else ("note" if finding.mend else "ok")
        progress.plain(f"{mark:<7} {finding.about:<20} {finding.text}")
        if finding.mend:
            progress.plain(f"{'':<28} -> {finding.mend}")
    broken = sum(finding.is_broken for finding in findings)
    progress.plain(f"\n{broken} of {len(findings)} are broken." if broken else "\nNothing is broken.")
    return broken == 0


def examine(places: Places) -> Iterator[Finding]:
    """Look at everything the stack needs."""
    yield _python()
    yield _venv()
    writable = _writable(places.home)
    yield writable
    yield _disk(places.home)
    yield _memory()
    yield _ports()
    yield _binaries()
    if not writable.is_broken:
        yield _right_to_run(places)
    yield _data_version(places)
    yield _postgres(places)
    yield from _parts(places)


def _python() -> Finding:
    return Finding(about="Python", text=f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")


def _venv() -> Finding:
    stamp = CHECKOUT / ".venv" / "installed"
    if not stamp.exists():
        return Finding(
            about="packages", text="this virtual environment was not made by make, or is not complete",
            mend="run any make command again; it completes .venv",
        )  # fmt: skip
    return Finding(about="packages", text=".venv holds what requirements-local.txt names")


def _writable(home: Path) -> Finding:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=home, prefix="doctor") as probe:
            probe.write(b"x" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return Finding(
            about="folder", text=f"cannot write to {home}: {error.strerror}", is_broken=True,
            mend="make it writable for this user, see that the disk has room, or move the checkout",
        )  # fmt: skip
    return Finding(about="folder", text=f"{home} is writable")


def _disk(home: Path) -> Finding:
    nearest = next(parent for parent in (home, *home.parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    text = f"{free / 1e9:.1f} GB free at {nearest}"
    if free < NEEDED_DISK_BYTES:
        return Finding(
            about="disk", text=text, is_broken=free < NEEDED_DISK_BYTES / 4,
            mend=f"make room: {NEEDED_DISK_BYTES / 1e9:.0f} GB let the demo run with ease",
        )  # fmt: skip
    return Finding(about="disk", text=text)


def _memory() -> Finding:
    available = psutil.virtual_memory().available
    text = f"{available / 1e9:.1f} GB available, {os.cpu_count()} CPUs"
    if available < NEEDED_MEMORY_BYTES:
        return Finding(
            about="memory", text=text, is_broken=available < NEEDED_MEMORY_BYTES / 3,
            mend=f"close other programs: {NEEDED_MEMORY_BYTES / 1e9:.0f} GB let the demo run with ease",
        )  # fmt: skip
    return Finding(about="memory", text=text)


def _ports() -> Finding:
    """A machine whose loopback is closed (some sandboxes, some firewalls) cannot run anything of this."""
    try:
        with socket.socket() as server, socket.socket() as client:
            server.bind((LOOPBACK, 0))
            server.listen()
            client.settimeout(5)
            client.connect(server.getsockname())
    except OSError as error:
        return Finding(
            about="ports", text=f"no connection over {LOOPBACK} is possible: {error}", is_broken=True,
            mend="allow connections over the loopback device; a firewall or a sandbox forbids them",
        )  # fmt: skip
    return Finding(about="ports", text=f"free ports of {LOOPBACK} can be used; each part takes a free one")


def _binaries() -> Finding:
    try:
        return Finding(about="Postgres binaries", text=str(binaries_folder()))
    except LocalStackError as error:
        return Finding(about="Postgres binaries", text=str(error), is_broken=True, mend="rm -rf .venv, then run make")


def _right_to_run(places: Places) -> Finding:
    try:
        runner = run_as(initdb=binaries_folder() / "initdb", folder=places.home)
    except LocalStackError as error:
        return Finding(about="right to run it", text="Postgres cannot be run here", is_broken=True, mend=str(error))
    user = f"user {runner.owner[0]}, because it refuses root" if runner.owner else f"this user ({os.geteuid()})"
    return Finding(about="right to run it", text=f"Postgres runs as {user}")


def _data_version(places: Places) -> Finding:
    cluster = places.postgres / "cluster"
    try:
        version = (cluster / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return Finding(about="Postgres data", text="none yet; the first start makes it")
    except OSError as error:
        return Finding(
            about="Postgres data", text=f"{cluster} cannot be read: {error.strerror}", is_broken=True,
            mend="run make as the user it belongs to, or give it to this user (chown)",
        )  # fmt: skip
    if version != MAJOR_VERSION:
        return Finding(
            about="Postgres data", text=f"made by Postgres {version}; this is {MAJOR_VERSION}", is_broken=True,
            mend=f"mv {cluster} {cluster}.{version} for an empty database, or carry it over with pg_dump first",
        )  # fmt: skip
    return Finding(about="Postgres data", text=f"of Postgres {version} in {cluster}")


def _postgres(places: Places) -> Finding:
    server = PostgresServer(places.postgres)
    if server.is_running:
        return Finding(about="Postgres", text=f"runs (pid {server.pid}); make down stops it")
    crashed = False
    with contextlib.suppress(OSError):
        crashed = (places.postgres / "cluster" / "postmaster.pid").exists()
    if crashed:
        return Finding(
            about="Postgres", text="was killed and left its pid file",
            mend="nothing to do: the next command recovers it (make dsn does it now)",
        )  # fmt: skip
    return Finding(about="Postgres", text="does not run")


def _parts(places: Places) -> Iterator[Finding]:
    for part in known_parts(places.parts):
        left = part.processes()
        if part.is_running:
            yield Finding(about=part.name, text=f"runs (pid {part.pid}); make down stops it; log {part.log}")
        elif left:
            yield Finding(
                about=part.name, text=f"was killed; of its processes {[process.pid for process in left]} still run",
                mend="make down, or any other command, clears them away",
            )  # fmt: skip
        else:
            yield Finding(
                about=part.name, text=f"was killed or ended by itself; log {part.log}",
                mend="nothing to do: the next command goes on from here",
            )  # fmt: skip
