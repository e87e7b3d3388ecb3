"""What the documentation tells its readers to run, and whether that is understood; `told_runs.py` runs it.

A command of Python is given to the parser that it would meet, and stopped behind it. A target of make must be there,
and so must be what it is given. What is given to `airflow` goes through Airflow's own parser.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import re
import runpy
import shlex
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import yaml
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
PROMPT = re.compile(r"^\s*(?:\$ )?")
OTHERS = ("cp", "curl", "git", "psql")
BEGINS = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:make|airflow|docker compose|(?:\.venv/bin/)?python -m|{'|'.join(OTHERS)}) ")
CONTINUED = re.compile(r"\\\n\s*")
WORDS_BESIDE = re.compile(r" {3,}.*")
SHELL = ("", "sh", "bash", "console", "text")
TARGETS = re.compile(r"^([a-z-]+):.*$", re.MULTILINE)
DELEGATES = {"ingestion": ["include.ingestion"], "models": ["include.models"], "api-keys": ["include.serving", "keys"]}
"""Targets of make whose DO is given to a command of Python."""


@dataclass(frozen=True)
class Told:
    """A command and the page that tells it.

    :param is_named: it stands in a sentence, perhaps without what it must be given.
    """

    page: str
    text: str
    is_named: bool

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def told_commands() -> list[Told]:
    """Those in blocks of code and in code within sentences; one that trails off (`…`) is no command.

    The reference is left out: it is written from the parsers themselves.
    """
    found: dict[str, Told] = {}
    for file in told_pages():
        for line, is_named in _lines(file.read_text()):
            text = WORDS_BESIDE.sub("", PROMPT.sub("", line)).strip()
            if BEGINS.match(text) and "…" not in text:
                found.setdefault(text, Told(str(file.relative_to(ROOT)), text, is_named))
    return list(found.values())


def told_pages() -> list[Path]:
    """Every page but those of the reference."""
    docs = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "reference"]
    return [ROOT / "README.md", *docs, *sorted((ROOT / "notebooks").glob("*.md"))]


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Lines of code, and whether they stand in a sentence."""
    for token in MarkdownIt().enable("table").parse(text):
        if token.type == "code_block" or (token.type == "fence" and token.info in SHELL):
            yield from ((line, False) for line in CONTINUED.sub(" ", token.content).splitlines())
        yield from ((child.content, True) for child in token.children or [] if child.type == "code_inline")


def problem_with(text: str, *, is_named: bool = False) -> str | None:
    """Why a command cannot be run, or None.

    :param is_named: it need not have what it must be given.
    """
    problem = _problem_with(text)
    return None if is_named and problem and "arguments are required" in problem else problem


def words_of(text: str) -> list[str]:
    """A command's program and arguments; what the shell does with its output is the shell's."""
    words = shlex.split(text, comments=True)
    for mark in ("|", ">", "<", "&&"):
        if mark in words:
            words = words[: words.index(mark)]
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def python_of(words: list[str]) -> tuple[str, list[str]] | None:
    """The module and the arguments that a command of Python, or of make with DO, comes to; None for any other."""
    if words[1:2] == ["-m"]:
        return words[2], words[3:]
    do = [word.removeprefix("DO=") for word in words if word.startswith("DO=")]
    if words[0] != "make" or not do:
        return None
    module, *first = DELEGATES[next(word for word in words if word in DELEGATES)]
    return module, [*first, *shlex.split(do[0])]


def _problem_with(text: str) -> str | None:
    words = words_of(text)
    if words[0] in OTHERS:
        return None
    if words[0] == "make":
        return _problem_with_make(words[1:])
    if words[0] == "airflow":
        return _problem_with_airflow(words[1:])
    if words[:2] == ["docker", "compose"]:
        return _problem_with_compose(words[2:])
    asked = python_of(words)
    assert asked
    return _problem_with_python(*asked)


def _problem_with_make(words: list[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text()
    given = dict(word.split("=", 1) for word in words if re.match(r"[A-Z]+=", word))
    for word in words:
        if not re.match(r"[A-Z]+=|-", word) and word not in TARGETS.findall(makefile):
            return f"make has no target {word}"
    for name in given:
        if not re.search(rf"\$\$?[({{]?{name}\b|^export .*\b{name}\b", makefile, re.MULTILINE):
            return f"the Makefile reads no {name}"
    asked = python_of(["make", *words])
    return _problem_with_python(*asked) if asked else None


def _problem_with_airflow(words: list[str]) -> str | None:
    from airflow.cli.cli_parser import get_parser

    return _refusal(lambda: get_parser().parse_args(words))


def _problem_with_compose(words: list[str]) -> str | None:
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    while words and words[0] == "--profile":
        words = words[2:]
    command, rest = words[0], [word for word in words[1:] if not word.startswith("-")]
    if command not in {"exec", "run", "up", "down", "logs", "ps", "restart", "build", "stop"}:
        return f"docker compose has no command {command}"
    named = rest[:1] if command in {"exec", "run"} else rest
    if unknown := [name for name in named if name not in services]:
        return f"docker-compose.yaml has no service {', '.join(unknown)}"
    inner = words[words.index(rest[0]) + 1 :] if command in {"exec", "run"} and rest else []
    if inner[:1] == ["airflow"] or inner[:2] == ["python", "-m"]:
        return _problem_with(shlex.join(inner))
    return None


def _problem_with_python(module: str, words: list[str]) -> str | None:
    if module == "pytest":
        return None
    if module.split(".")[0] == "bench":
        return _problem_with_bench(module, words)
    if importlib.util.find_spec(module) is None:
        return f"there is no module {module}"
    found = importlib.util.find_spec(f"{module}.__main__") if _is_package(module) else importlib.util.find_spec(module)
    if found is None or found.origin is None or "parse_args(" not in Path(found.origin).read_text():
        return f"{module} has no parser that could say whether it may be given {words}" if words else None
    return _refusal(lambda: _run_until_parsed(module, words))


def _problem_with_bench(module: str, words: list[str]) -> str | None:
    """By its text alone: what the benchmarks import takes seconds."""
    file = ROOT / (f"{module.replace('.', '/')}.py" if "." in module else "bench/__main__.py")
    if not file.is_file():
        return f"there is no module {module}"
    known = set(re.findall(r'"(\w+)": \w+\.run,|"(--\w+)"', file.read_text()))
    names = {name for found in known for name in found}
    asked = words if module == "bench" else [word for word in words if word.startswith("--")]
    return next((f"{module} knows no {word}" for word in asked if word not in names), None)


def _is_package(module: str) -> bool:
    found = importlib.util.find_spec(module)
    return found is not None and found.submodule_search_locations is not None


class _Parsed(BaseException):
    """A command has understood what it was given."""


def _run_until_parsed(module: str, words: list[str]) -> None:
    parse = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *arguments: object, **others: object) -> None:
        parse(self, *arguments, **others)  # type: ignore[call-overload]
        raise _Parsed

    with (
        warnings.catch_warnings(),
        mock.patch.object(argparse.ArgumentParser, "parse_args", stop),
        mock.patch.object(sys, "argv", [module, *words]),
        contextlib.suppress(_Parsed),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # It was imported before, as a module.
        runpy.run_module(module, run_name="__main__", alter_sys=False)
        raise AssertionError(f"python -m {module} does not parse what it is given")


def _refusal(parse: object) -> str | None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            parse()  # type: ignore[operator]
    except SystemExit as end:
        return said.getvalue().strip() or f"ended with {end.code}" if end.code else None
    return None
