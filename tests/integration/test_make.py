"""The Makefile and its bootstrap as a newcomer meets them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
WITHOUT_PYTHON = (
    "sh",
    "make",
    "cat",
    "cksum",
    "date",
    "grep",
    "head",
    "rm",
    "sed",
    "expand",
    "tail",
    "sleep",
    "mktemp",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What bootstrap needs of a checkout, without a virtual environment."""
    for name in ("Makefile", "requirements-local.txt", "include/local/bootstrap.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    return tmp_path


# The tests themselves may run under make, which tells its children so.
OUTSIDE_MAKE = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}


def make(folder: Path, *words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *words], cwd=folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        env={**OUTSIDE_MAKE, "PATH": path or os.environ["PATH"]},
    )  # fmt: skip


def test_help_tells_one_line_about_every_command(checkout: Path) -> None:
    told = make(checkout, "help").stdout.splitlines()
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE)
    assert [line.split()[1] for line in told] == [target for target in targets if target != "venv"]
    assert all(len(line.split(maxsplit=2)) == 3 for line in told)


def test_make_alone_shows_the_help(checkout: Path) -> None:
    assert make(checkout).stdout == make(checkout, "help").stdout


def test_without_python_it_says_what_to_install(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    for name in WITHOUT_PYTHON:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    ended = make(checkout, "demo", path=str(tools))
    assert ended.returncode != 0
    assert "No Python 3.11 or newer was found" in ended.stderr
    assert "apt-get install python3" in ended.stderr
    assert not (checkout / ".venv").exists()


def test_a_finished_virtual_environment_is_left_as_it_is(checkout: Path) -> None:
    interpreter = checkout / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text("#!/bin/sh\nexit 1\n")
    interpreter.chmod(0o755)
    lock = subprocess.run(
        ["cksum"], stdin=(checkout / "requirements-local.txt").open("rb"), capture_output=True, text=True, check=True
    ).stdout.strip()
    (checkout / ".venv" / "installed").write_text(f"{lock} {checkout}\n")
    ended = make(checkout, "-s", "venv")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert interpreter.read_text() == "#!/bin/sh\nexit 1\n"


def test_what_make_does_reaches_the_program_with_odd_characters_in_it(checkout: Path) -> None:
    shown = make(checkout, "-n", "demo", "DATA=it's $$here.csv").stdout
    script = shown.splitlines()[-1].replace(".venv/bin/python -m include.local", "printf '%s\\n'")
    told = subprocess.run(["sh", "-c", script], env={**os.environ, "DATA": "it's $here.csv"}, capture_output=True)
    assert told.stdout.decode().splitlines() == ["demo", "--data", "it's $here.csv"]
