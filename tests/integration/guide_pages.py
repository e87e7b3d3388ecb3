"""The blocks of code in the documentation's pages, and what a reader is promised of them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.documented_commands import ROOT, told_pages

GAP = re.compile(r"^\s*(?:# |-- )?…\s*$", re.MULTILINE)
"""A line that stands for lines left out of an excerpt."""
_BLOCK = re.compile(
    r"^```(?P<language>[a-z]+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$"
    r"(?:\n\n```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One block: an excerpt of a file where it has a title, else something that a reader may run.

    :param printed: what a `text` block right behind it says that it prints; None if there is none.
    """

    page: Path
    language: str
    title: str | None
    code: str
    printed: str | None

    def __str__(self) -> str:
        return f"{self.name}: {self.code.strip().splitlines()[0][:60]}"

    @property
    def name(self) -> str:
        """The page's path in the repository."""
        return str(self.page.relative_to(ROOT))

    @property
    def pieces(self) -> list[str]:
        """What stands between gaps."""
        return [textwrap.dedent(piece).strip("\n") for piece in GAP.split(self.code) if piece.strip()]


def blocks() -> Iterator[Block]:
    """Every block of every page that is code, in order."""
    for page in told_pages():
        for match in _BLOCK.finditer(page.read_text()):
            if match["language"] != "text":
                yield Block(page, match["language"], match["title"], match["code"], match["printed"])
