"""The commands behind the Makefile that need no Airflow: dsn, down, doctor, and what they refuse."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from include.local.doctor import Finding, examine
from include.local.errors import LocalStackError
from include.local.keys import load_keys
from include.local.places import Places
from include.local.postgres import PostgresServer
from include.local.shop import choose_shop, last_shop, remember_shop
from include.local.turns import my_turn

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    made = Places(home=tmp_path / "home")
    yield made
    PostgresServer(made.postgres).stop()


def run(places: Places, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "include.local", *arguments, "--home", str(places.home)]
    return subprocess.run(
        command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )  # fmt: skip


def found(places: Places, about: str) -> Finding:
    return next(finding for finding in examine(places) if finding.about == about)


def test_dsn_prints_one_working_connection_string_and_nothing_else(places: Places) -> None:
    told = run(places, "dsn")
    assert told.returncode == 0, told.stderr
    assert len(told.stdout.splitlines()) == 1
    with psycopg.connect(told.stdout.strip()) as conn:
        assert conn.execute("SELECT count(*) FROM shop.orders").fetchone() == (0,)
    assert "starting" in told.stderr
    again = run(places, "dsn")
    assert again.stdout == told.stdout
    assert again.stderr == ""


def test_down_stops_postgres_and_says_so_and_twice_is_no_error(places: Places) -> None:
    run(places, "dsn")
    first, second = run(places, "down"), run(places, "down")
    assert "stopped postgres" in first.stdout
    assert not PostgresServer(places.postgres).is_running
    assert (second.returncode, "nothing was running" in second.stdout) == (0, True)


def test_down_in_one_checkout_leaves_another_ones_postgres_running(places: Places, tmp_path: Path) -> None:
    other = Places(home=tmp_path / "other")
    try:
        run(places, "dsn")
        theirs = run(other, "dsn").stdout.strip()
        run(places, "down")
        with psycopg.connect(theirs) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
    finally:
        PostgresServer(other.postgres).stop()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "Cannot read DATA="),
        (b"name,amount\nx,1\n", "is not an Online Retail export"),
        (b"", "export"),
        (b"\xfd7zXZ\x00broken", "export"),
    ],
    ids=["missing", "other columns", "empty", "damaged"],
)
def test_a_file_that_is_no_export_ends_in_one_message_and_loads_nothing(
    places: Places, tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / ("export.csv.xz" if content and content.startswith(b"\xfd") else "export.csv")
    if content is not None:
        path.write_bytes(content)
    ended = run(places, "demo", "--data", str(path))
    assert ended.returncode == 1
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    server = PostgresServer(places.postgres)
    if (places.postgres / "cluster").exists():
        server.start()
        with psycopg.connect(server.dsn("postgres")) as conn:
            names = {row[0] for row in conn.execute("SELECT datname FROM pg_database")}
        assert not any(name.startswith("warehouse") for name in names)
    assert not places.shop.exists()
    assert not list(places.parts.glob("*.json"))


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    for command in ("demo", "up", "dsn"):
        ended = run(Places(home=tmp_path / "home"), command)
        assert ended.returncode == 1
        assert "Cannot write to" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_data_of_another_postgres_stops_every_command_with_the_way_out(places: Places) -> None:
    cluster = places.postgres / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    for command in ("demo", "up", "dsn"):
        ended = run(places, command)
        assert ended.returncode == 1
        assert "made by Postgres 16" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not list(places.parts.glob("*.json"))
    finding = found(places, "Postgres data")
    assert finding.is_broken
    assert "mv " in finding.mend
    assert run(places, "doctor").returncode == 1


def test_a_second_command_waits_for_nobody_and_says_who_is_at_work(places: Places) -> None:
    with my_turn(places, command="make demo"):
        ended = run(places, "up")
    assert ended.returncode == 1
    assert "make demo" in ended.stderr
    assert str(os.getpid()) in ended.stderr


def at_work(places: Places, command: str) -> subprocess.Popen[str]:
    """A process that holds the stack for a command."""
    program = (
        "import sys, time; from pathlib import Path; from include.local.places import Places\n"
        "from include.local.turns import my_turn\n"
        "with my_turn(Places(home=Path(sys.argv[1])), command=sys.argv[2]):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(places.home), command], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_command_that_was_killed_leaves_the_stack_free(places: Places) -> None:
    holder = at_work(places, "make up")
    with pytest.raises(LocalStackError, match="make up"), my_turn(places, command="make demo"):
        pass
    holder.kill()
    holder.wait()
    with my_turn(places, command="make demo"):
        pass


def test_down_ends_the_command_that_is_at_work(places: Places) -> None:
    holder = at_work(places, "make demo")
    ended = run(places, "down")
    assert holder.wait(timeout=30) != 0
    assert (ended.returncode, "make demo" in ended.stdout) == (0, True)


def test_the_keys_are_random_kept_and_for_their_owner_alone(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine" / "keys.json", tmp_path / "theirs" / "keys.json"
    keys = load_keys(mine)
    assert load_keys(mine) == keys
    assert stat.S_IMODE(mine.stat().st_mode) == 0o600
    other = load_keys(theirs)
    assert all(getattr(keys, name) != getattr(other, name) for name in json.loads(mine.read_text()))


def test_damaged_keys_are_one_message_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text('{"admin_pass')
    with pytest.raises(LocalStackError, match="remove the file"):
        load_keys(path)


def test_each_shop_has_a_warehouse_of_its_own(tmp_path: Path) -> None:
    one, other, same = tmp_path / "one.csv", tmp_path / "other.csv", tmp_path / "copy of one.csv"
    one.write_text("1")
    other.write_text("2")
    same.write_text("1")
    names = [
        choose_shop(data=None, customers=None).database,
        choose_shop(data=None, customers=300).database,
        choose_shop(data=str(one), customers=None).database,
        choose_shop(data=str(other), customers=None).database,
    ]
    assert names[0] == "warehouse"
    assert len(set(names)) == 4
    assert choose_shop(data=str(same), customers=None).database == names[2]


def test_the_last_shop_is_remembered_and_a_lost_memory_means_the_default(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    shop = choose_shop(data=None, customers=77)
    remember_shop(path, shop)
    assert last_shop(path) == shop
    path.write_text("{")
    assert last_shop(path) == choose_shop(data=None, customers=None)


@pytest.mark.parametrize("customers", [0, -5, 10_000_000])
def test_a_shop_of_an_impossible_size_is_refused(customers: int) -> None:
    with pytest.raises(LocalStackError, match="CUSTOMERS="):
        choose_shop(data=None, customers=customers)


def test_doctor_finds_a_healthy_machine_healthy_and_changes_nothing(places: Places) -> None:
    ended = run(places, "doctor")
    assert ended.returncode == 0, ended.stdout
    assert "Nothing is broken" in ended.stdout
    assert not places.postgres.exists()


def test_doctor_sees_a_killed_postgres_and_what_was_left_of_it(places: Places) -> None:
    server = PostgresServer(places.postgres)
    server.start()
    assert found(places, "Postgres").text.startswith("runs")
    assert server.pid is not None
    postmaster = psutil.Process(server.pid)
    postmaster.kill()
    psutil.wait_procs([postmaster], timeout=20)
    finding = found(places, "Postgres")
    assert "was killed" in finding.text
    assert "make dsn" in finding.mend


def test_doctor_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    finding = found(Places(home=tmp_path / "home"), "folder")
    assert finding.is_broken
    assert finding.mend
