"""The page of the commands."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

from include.local.reference.markdown import code, one_line, page, table

PARSERS = {
    "include.local": "_parser",
    "include.ingestion": "_parser",
    "include.features": "_parser",
    "include.models": "_parser",
    "include.models.lifetime": "_parser",
    "include.serving": "parser",
}
"""Module that is run with `python -m`, and the function of its `__main__` that makes its parser."""
_TARGET = re.compile(r"^([a-z-]+):.*?## (.*)$", re.MULTILINE)


def commands_page(makefile: Path) -> str:
    """:param makefile: the project's Makefile, whose comments describe its targets."""
    targets = table(
        ("command", "does"), ((code(f"make {name}"), words) for name, words in _TARGET.findall(makefile.read_text()))
    )
    return page(
        "Commands",
        "`make` is for a workstation; each of the other commands stands in its own `--help` with all it may be given.",
        f"## make\n\n{targets}",
        *(_told(module, parser_of(module)) for module in PARSERS),
    )


def parser_of(module: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    return getattr(importlib.import_module(f"{module}.__main__"), PARSERS[module])()


def _told(module: str, parser: argparse.ArgumentParser) -> str:
    words = (parser.description or "").strip()
    arguments = table(("command", "may be given", "does"), _commands(parser, f"python -m {module}"))
    return f"## python -m {module}\n\n{words}\n\n{arguments}"


def _commands(parser: argparse.ArgumentParser, name: str, words: str = "") -> Iterator[tuple[str, str, str]]:
    """One row per command that does something; commands of commands stand for themselves."""
    within = next((each for each in parser._actions if isinstance(each, argparse._SubParsersAction)), None)
    given = "; ".join(filter(None, map(_argument, parser._actions)))
    if within is None or not within.required:
        yield code(name), given, words
    if within is not None:
        helps = {each.dest: each.help or "" for each in within._choices_actions}
        for choice, inner in within.choices.items():
            yield from _commands(inner, f"{name} {choice}", one_line(helps.get(choice, "")))


def _argument(action: argparse.Action) -> str:
    if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
        return ""
    name = max(action.option_strings, key=len) if action.option_strings else (action.metavar or action.dest)
    words = one_line((action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%"))
    return f"{code(name)} {words}".strip() if words else code(name)
