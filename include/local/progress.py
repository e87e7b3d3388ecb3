"""Lines that tell how far a command is."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO


class Progress:
    """Prints one line per step, each with the seconds since the make command began.

    :param stream: stdout, unless stdout is for a result.
    """

    def __init__(self, *, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        now = time.time()
        try:
            began = float(os.environ["REGULARS_STARTED_AT"])
        except (KeyError, ValueError):
            began = now
        self._began = began if now - 86_400 < began <= now else now

    @property
    def seconds(self) -> float:
        """Seconds since the command began."""
        return time.time() - self._began

    def say(self, text: str) -> None:
        """One line with the time."""
        print(f"[{self.seconds:4.0f} s] {text}", file=self._stream, flush=True)

    def plain(self, text: str = "") -> None:
        """Text without the time."""
        print(text, file=self._stream, flush=True)
