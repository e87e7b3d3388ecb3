"""What the embedded stack raises."""

from __future__ import annotations

from pathlib import Path


class LocalStackError(RuntimeError):
    """A part of the embedded stack cannot go on. The text says what happened, to what, and what to do."""


def log_tail(path: Path, *, lines: int = 15, offset: int = 0) -> str:
    """The last lines of a log, indented for quoting below a message.

    :param offset: where this start's part of the log begins, in bytes.
    """
    try:
        with path.open("rb") as log:
            log.seek(offset)
            text = log.read().decode(errors="replace")
    except OSError:
        return f"    (no log at {path})"
    wanted = text.strip().splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in wanted) or f"    ({path} is empty)"
