"""Reads the files of the deployment as Docker would, without Docker."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<text>[^}]*))?\}")


class NotSet(ValueError):
    """A variable that the compose file requires has no value."""


@cache
def compose() -> dict[str, Any]:
    """docker-compose.yaml with merged anchors and variables as they stand."""
    return yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())


def resolved(settings: Mapping[str, str]) -> dict[str, Any]:
    """docker-compose.yaml with every variable replaced, as `docker compose config` shows it.

    :raises NotSet: a required variable is missing or empty in `settings`.
    """
    return {key: _replace(value, settings) for key, value in compose().items() if not key.startswith("x-")}


def settings() -> dict[str, str]:
    """A filled-in .env: the example's values, and something in every line that it leaves empty."""
    filled = {line.name: f"filled-{line.name.lower()}" for line in example() if line.is_active}
    shown = {line.name: line.value for line in example() if not line.is_active and line.value}
    return {**filled, **shown, "REGULARS_UI_PASSWORDS": json.dumps({"admin": "a password"})}


def services() -> dict[str, Any]:
    """The services of the compose file with a filled-in .env."""
    return resolved(settings())["services"]


def variables() -> list[re.Match[str]]:
    """Every `${…}` that Compose sees; comments do not count."""
    return [match for text in _strings(compose()) for match in VARIABLE.finditer(text)]


@dataclass(frozen=True, slots=True)
class Line:
    """One `NAME=value` of .env.example; `is_active` unless it begins with #."""

    name: str
    value: str
    is_active: bool


def example() -> list[Line]:
    """The settings of .env.example, with quotes taken off the values."""
    found = re.findall(r"^(#?)([A-Z][A-Z0-9_]*)=(.*)$", (CHECKOUT / ".env.example").read_text(), flags=re.MULTILINE)
    return [Line(name=name, value=_unquoted(value), is_active=not mark) for mark, name, value in found]


def dockerfile() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (CHECKOUT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def image_environment() -> dict[str, str]:
    """What the last stage of the Dockerfile sets by ENV."""
    words = [word for instruction, rest in final_stage() if instruction == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)


def final_stage() -> list[tuple[str, str]]:
    """The instructions that make the image which runs."""
    instructions = dockerfile()
    last = max(number for number, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[last:]


def _unquoted(value: str) -> str:
    return value[1:-1] if value.startswith("'") and value.endswith("'") and len(value) > 1 else value


def _strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)


def _replace(node: Any, settings: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return VARIABLE.sub(lambda match: _value(match, settings), node)
    if isinstance(node, dict):
        return {key: _replace(value, settings) for key, value in node.items()}
    if isinstance(node, list):
        return [_replace(value, settings) for value in node]
    return node


def _value(match: re.Match[str], settings: Mapping[str, str]) -> str:
    name, kind, text = match["name"], match["kind"], match["text"]
    if value := settings.get(name):
        return value
    if kind == "?":
        raise NotSet(f"{name}: {text}")
    return text or ""
