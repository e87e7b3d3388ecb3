"""A test run says loudly what it left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def run_pytest(folder: Path, text: str) -> str:
    (folder / "test_it.py").write_text(text)
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.not_run", "-p", "no:cacheprovider", "-q", "--strict-markers"],
        cwd=folder, capture_output=True, text=True, timeout=120,
        # Other plugins take seconds to import.
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    return told.stdout


def test_a_missing_program_is_named_with_its_tests_in_the_last_lines(tmp_path: Path) -> None:
    told = run_pytest(
        tmp_path,
        "import pytest\n"
        "@pytest.mark.needs_program('no-such-program')\n"
        "def test_with_it(): raise AssertionError\n"
        "def test_plain(): pass\n",
    )
    last = told.splitlines()[-4:]
    assert "1 TESTS DID NOT RUN" in last[0]
    assert "`no-such-program` is not on the PATH (apt-get install no-such-program)" in last[1]
    assert "test_it.py::test_with_it" in last[2]
    assert "1 passed, 1 skipped" in last[3]


def test_the_package_of_a_missing_program_is_named_where_it_has_another_name(tmp_path: Path) -> None:
    marker = "@pytest.mark.needs_program('no-such-program', package='its-package')"
    told = run_pytest(tmp_path, f"import pytest\n{marker}\ndef test_with_it(): raise AssertionError\n")
    assert "`no-such-program` is not on the PATH (apt-get install its-package)" in told


def test_a_program_that_is_there_lets_its_tests_run(tmp_path: Path) -> None:
    told = run_pytest(tmp_path, "import pytest\n@pytest.mark.needs_program('sh')\ndef test_with_it(): pass\n")
    assert "1 passed" in told
    assert "DID NOT RUN" not in told


def test_every_other_skip_is_named_too(tmp_path: Path) -> None:
    told = run_pytest(tmp_path, "import pytest\ndef test_it(): pytest.skip('the moon is full')\n")
    assert "because the moon is full:" in told
