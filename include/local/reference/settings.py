"""The page of the settings, as `.env.example` documents them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from include.local.reference.markdown import code, one_line, page, table

_SECTION = re.compile(r"# --- (.*?) -+")
_SETTING = re.compile(r"(#?)([A-Z][A-Z0-9_]*)=(.*)")


@dataclass
class _Setting:
    name: str
    words: str
    is_required: bool
    value: str


@dataclass
class _Section:
    title: str
    settings: list[_Setting] = field(default_factory=list)


def settings_page(example: Path) -> str:
    """:param example: the file `.env.example`."""
    parts = []
    for section in _sections(example.read_text()):
        told = table(
            ("setting", "", "unless set, or an example", "is"),
            ((code(each.name), "must be set" if each.is_required else "", code(each.value), each.words)
             for each in section.settings),
        )  # fmt: skip
        parts.append(f"## {section.title}\n\n{told}")
    return page(
        "Settings",
        "Environment variables, as `.env.example` documents them for the [deployment](../deployment.md). The same "
        "names count wherever the platform runs; on a workstation `make` sets what is needed. A name that begins with "
        "`AIRFLOW_CONN_` is an Airflow connection, and may be kept in Airflow instead.",
        *parts,
    )


def _sections(text: str) -> Iterator[_Section]:
    section: _Section | None = None
    words: list[str] = []
    for line in text.splitlines():
        if found := _SECTION.match(line):
            if section and section.settings:
                yield section
            section, words = _Section(found[1]), []
        elif found := _SETTING.fullmatch(line):
            if section is not None:
                _take(section, found, one_line(" ".join(words)))
        elif line.startswith("# "):
            words = [*words, line[2:]] if not section or not section.settings or words else [line[2:]]
        elif not line:
            words = []
        if _SETTING.fullmatch(line):
            words = []
    if section and section.settings:
        yield section


def _take(section: _Section, found: re.Match[str], words: str) -> None:
    """A setting, or the example of one that stands above it."""
    hidden, name, value = found.groups()
    if section.settings and section.settings[-1].name == name:
        section.settings[-1].value = value
        return
    section.settings.append(_Setting(name, words, is_required=not hidden and not value, value=value))
