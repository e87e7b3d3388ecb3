"""Commands of the platform run in this process: one of their own takes seconds to import what it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence

import pytest


def ended(
    main: Callable[[list[str], Mapping[str, str]], int],
    words: Sequence[str],
    environment: Mapping[str, str],
    printed: pytest.CaptureFixture[str],
) -> subprocess.CompletedProcess[str]:
    """Run the `main` of a command line; how it ended and what it printed, as of a process."""
    printed.readouterr()
    try:
        code = main(list(words), environment)
    except SystemExit as exit:  # argparse refuses by it
        code = exit.code
    told = printed.readouterr()
    return subprocess.CompletedProcess(list(words), int(code or 0), told.out, told.err)
