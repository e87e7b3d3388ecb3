"""Processes of the local stack: what was started is stopped for certain, and nothing else is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from include.local.errors import LocalStackError
from include.local.parts import Part, check_alive, exit_code, known_parts, start_part, stop_parts

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
aside = "import os, time; os.setpgid(0, 0); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", aside], stdout=subprocess.PIPE)
child.stdout.readline()
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Part]]:
    def run(name: str, *command: str, folder: str = "parts") -> Part:
        return start_part(
            name=name, command=command, environment=dict(os.environ), folder=tmp_path / folder,
            logs=tmp_path / "logs", cwd=tmp_path,
        )  # fmt: skip

    yield run
    for folder in tmp_path.glob("parts*"):
        stop_parts(known_parts(folder), folder=folder, deadline_seconds=1)


def until(is_so: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def stubborn_family(start: Callable[..., Part], tmp_path: Path) -> tuple[Part, psutil.Process]:
    """A part that ignores SIGTERM, and its child in a process group of its own."""
    told = tmp_path / "child"
    part = start("stubborn", sys.executable, "-c", STUBBORN, str(told))
    until(lambda: told.exists() and bool(told.read_text()))
    return part, psutil.Process(int(told.read_text()))


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_part_that_ignores_sigterm_goes_down_with_its_children(start: Callable[..., Part], tmp_path: Path) -> None:
    part, child = stubborn_family(start, tmp_path)
    assert stop_parts([part], folder=tmp_path / "parts", deadline_seconds=0.5) == ["stubborn"]
    assert not part.is_running
    until(lambda: is_gone(child))
    assert known_parts(tmp_path / "parts") == []


def test_children_of_a_killed_part_are_found_and_ended(start: Callable[..., Part], tmp_path: Path) -> None:
    part, child = stubborn_family(start, tmp_path)
    os.kill(part.pid, signal.SIGKILL)
    until(lambda: not part.is_running)
    assert not is_gone(child)
    assert [process.pid for process in part.processes()] == [child.pid]
    assert stop_parts(known_parts(tmp_path / "parts"), folder=tmp_path / "parts") == []
    until(lambda: is_gone(child))


def test_a_stranger_with_the_same_process_id_is_left_alone(start: Callable[..., Part], tmp_path: Path) -> None:
    part = start("old", "sleep", "600")
    stop_parts([part], folder=tmp_path / "parts")
    stranger = subprocess.Popen(["sh", "-c", "sleep 600 & wait"], start_new_session=True)
    try:
        record = {
            "name": "old", "pid": stranger.pid, "started": part.started - 3_600, "command": ["sleep"],
            "log": str(tmp_path / "old.log"),
        }  # fmt: skip
        (tmp_path / "parts" / "old.json").write_text(json.dumps(record))
        remembered = known_parts(tmp_path / "parts")
        assert [part.name for part in remembered] == ["old"]
        assert remembered[0].processes() == []
        assert stop_parts(remembered, folder=tmp_path / "parts") == []
        assert stranger.poll() is None
        assert known_parts(tmp_path / "parts") == []
    finally:
        os.killpg(stranger.pid, signal.SIGKILL)
        stranger.wait()


def test_stopping_one_stack_leaves_the_other_running(start: Callable[..., Part], tmp_path: Path) -> None:
    mine, theirs = start("sandbox", "sleep", "600"), start("sandbox", "sleep", "600", folder="parts-other")
    stop_parts(known_parts(tmp_path / "parts"), folder=tmp_path / "parts")
    assert not mine.is_running
    assert theirs.is_running


def test_a_half_written_record_is_no_obstacle(start: Callable[..., Part], tmp_path: Path) -> None:
    part = start("good", "sleep", "600")
    (tmp_path / "parts" / "bad.json").write_text('{"name": "ba')
    assert known_parts(tmp_path / "parts") == [part]


def test_a_part_that_ends_by_itself_is_reported_with_the_end_of_its_log(
    start: Callable[..., Part], tmp_path: Path
) -> None:
    part = start("broken", "sh", "-c", "echo first; echo the reason >&2; exit 3")
    until(lambda: not part.is_running)
    assert exit_code(part) == 3
    with pytest.raises(LocalStackError, match=r"(?s)broken has ended.*the reason"):
        check_alive(part)


def test_the_log_of_a_part_starts_anew_with_each_start(start: Callable[..., Part], tmp_path: Path) -> None:
    for word in ("first", "second"):
        part = start("talker", "echo", word)
        until(lambda part=part: not part.is_running)
    assert (tmp_path / "logs" / "talker.log").read_text() == "second\n"
