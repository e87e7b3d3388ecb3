"""A function in a process of its own, with the seconds it took and the most memory that the process ever held."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Peak:
    """What a probe told: what it gave, its seconds, and its peak in MB."""

    answer: dict[str, Any]
    seconds: float
    megabytes: float


def in_own_process(module: str, **asked: Any) -> Peak:
    """Run `python -m <module>` with `asked` as JSON; its main calls `tell`."""
    command = [sys.executable, "-m", module, msgspec.json.encode(asked).decode()]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return msgspec.json.decode(output.splitlines()[-1], type=Peak)


def tell(work: Callable[..., dict[str, Any]]) -> None:
    """Do the work that was asked for and print what `in_own_process` reads."""
    started = time.perf_counter()
    answer = work(**msgspec.json.decode(sys.argv[1]))
    # Not ru_maxrss: it also counts what the parent held when this process was started.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    seconds = answer.pop("seconds", time.perf_counter() - started)
    print(msgspec.json.encode(Peak(answer, seconds, int(peak.split()[1]) / 1024)).decode())
