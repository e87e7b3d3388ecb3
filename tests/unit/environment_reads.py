"""Which environment variables a piece of code reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.unit.deployment_files import CHECKOUT

OURS = re.compile(r"(REGULARS|SANDBOX|AIRFLOW_CONN|AIRFLOW_)_[A-Z0-9_]+")


def environment_reads(folders: list[str], *, besides: list[str]) -> set[str]:
    """Names in `os.environ[…]`, `os.environ.get(…)`, `os.getenv(…)`, and connections in `Connection.get(…)`.

    A text that is nothing but a name of ours counts as well: some are read in a loop.

    :param folders: files and folders of the checkout.
    :param besides: those of them that are left out.
    """
    return {
        name
        for folder in folders
        for path in ([CHECKOUT / folder] if folder.endswith(".py") else sorted((CHECKOUT / folder).rglob("*.py")))
        if not any(path.is_relative_to(CHECKOUT / other) for other in besides)
        for name in _reads(ast.parse(path.read_text()))
    }


def _reads(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OURS.fullmatch(node.value):
            yield node.value
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            yield from _text(node.slice)
        elif isinstance(node, ast.Call) and node.args:
            called = ast.unparse(node.func)
            if called in ("os.getenv", "os.environ.get", "os.environ.setdefault"):
                yield from _text(node.args[0])
            elif called == "Connection.get":
                yield from (f"AIRFLOW_CONN_{name.upper()}" for name in _text(node.args[0]))


def _text(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
