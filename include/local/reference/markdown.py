"""How the pages are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def page(title: str, words: str, *parts: str) -> str:
    """A page under its title; nobody writes it by hand, which it says."""
    told = f"<!-- Written by `make reference`; do not edit. -->\n\n# {title}\n\n{words}\n"
    return "\n".join([told, *(part.rstrip("\n") + "\n" for part in parts if part)])


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; empty text where there are no rows."""
    body = [_row(row) for row in rows]
    return "\n".join([_row(head), _row(["---"] * len(head)), *body]) + "\n" if body else ""


def code(text: object) -> str:
    """As code, or nothing for nothing."""
    return f"`{text}`" if text not in (None, "") else ""


def codes(texts: Iterable[object]) -> str:
    """Several, separated by commas."""
    return ", ".join(map(code, texts))


def one_line(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(one_line(str(cell)).replace("|", "\\|") for cell in cells) + " |"
