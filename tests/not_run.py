"""Says loudly, at the end of a test run, which tests did not run and why.

`@pytest.mark.needs_program("chromium")` skips a test when the program is not on the PATH; `package=` names Debian's
package where that is not the program's name.
"""

from __future__ import annotations

import shutil
from collections import defaultdict

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_program(name, package): runs only when the program is on the PATH")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs_program"):
        name = marker.args[0]
        if shutil.which(name) is None:
            package = marker.kwargs.get("package", name)
            pytest.skip(f"the program `{name}` is not on the PATH (apt-get install {package})")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        by_reason[reason.removeprefix("Skipped: ")].append(report.nodeid)
    if not by_reason:
        return
    count = sum(len(tests) for tests in by_reason.values())
    terminalreporter.section(f"{count} TESTS DID NOT RUN", sep="!", red=True, bold=True)
    for reason, tests in by_reason.items():
        terminalreporter.write_line(f"because {reason}:", yellow=True, bold=True)
        for test in tests:
            terminalreporter.write_line(f"    {test}")
