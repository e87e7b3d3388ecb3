"""Lineage as SVG: which boxes and lines to draw where, in pixels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

from include.analytics.lineage_drawing import Box, Drawing, Edge, Line, lay_out, neighbourhood

BOX_HEIGHT = 22
_GAP, _DOWN = 20, 30
_CHARACTER, _PADDING = 6.3, 17
"""Width of a letter of a label, at most nearly, and what a box needs beside them."""
_MARGIN = 4
_LONGEST_NAME = 25
_MOST_BOXES = 30
_TABLES_OF_VIEW = re.compile(r"(features\.\w+?)_v\d+(_online)?")
_BOOKS = re.compile(
    r"ops\..*|analytics\.(lineage|owners|mart_states|day_readers|stale_\w+|data_inventory)"
    r"|features\.(\w+_touches|built_snapshots|view_versions|statistics|failed_expectations)"
)
"""Tables that the platform keeps its accounts in: everything would be tied to them."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """One table or connection; `x` and `y` are its upper left corner."""

    name: str
    label: str
    group: str
    x: float
    y: float
    width: float

    @property
    def is_table(self) -> bool:
        """Whether it is a table, which has a page, and not a connection."""
        return self.group != "connection"


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """From a table to one that is made of it, as the `d` of an SVG path."""

    upstream: str
    downstream: str
    path: str


@dataclass(frozen=True, slots=True)
class DrawnLineage:
    """A drawing of `width` by `height` pixels.

    :param groups: schemas in it (and `connection`), for the legend.
    """

    boxes: list[DrawnBox]
    lines: list[DrawnLine]
    width: int
    height: int
    groups: list[str]


def draw_all(edges: Iterable[Edge]) -> DrawnLineage:
    """Everything but the platform's accounts; the tables of a feature view are one box."""
    simple = {(_view_of(up), _view_of(down)) for up, down in edges}
    return _drawn([], {edge for edge in simple if not any(_BOOKS.fullmatch(name) for name in edge)})


def draw_around(edges: Collection[Edge], name: str) -> DrawnLineage:
    """What a table is made of and what is made of it: two steps either way, or one where that is too much to see."""
    names, kept = neighbourhood(edges, name)
    if len(names) > _MOST_BOXES:
        names, kept = neighbourhood(edges, name, steps=1)
    return _drawn(names, kept)


def _view_of(name: str) -> str:
    found = _TABLES_OF_VIEW.fullmatch(name)
    return found[1] if found else name


def _drawn(names: Iterable[str], edges: Iterable[Edge]) -> DrawnLineage:
    drawing = lay_out(names, edges)
    sides = _sides(drawing)
    boxes = [_box(box, sides[box.layer]) for box in drawing.boxes]
    return DrawnLineage(
        boxes=boxes,
        lines=[DrawnLine(line.upstream, line.downstream, _path(line, sides)) for line in drawing.lines],
        width=round(sides[-1][1] if sides else 0) + _MARGIN,
        height=round(drawing.height * _DOWN) + 2 * _MARGIN,
        groups=sorted({box.group for box in boxes}),
    )


def _sides(drawing: Drawing) -> list[tuple[float, float]]:
    """Where the boxes of each layer begin and end, from left to right: as wide as its longest label needs."""
    sides: list[tuple[float, float]] = []
    left = float(_MARGIN)
    for layer in range(drawing.layers):
        longest = max(len(_label(box.name)) for box in drawing.boxes if box.layer == layer)
        sides.append((left, left + round(longest * _CHARACTER + _PADDING)))
        left = sides[-1][1] + _GAP
    return sides


def _label(name: str) -> str:
    own = name.replace("connection ", "connection.", 1).partition(".")[2]
    return own if len(own) <= _LONGEST_NAME else f"{own[: _LONGEST_NAME - 1]}…"


def _box(box: Box, sides: tuple[float, float]) -> DrawnBox:
    group = box.name.replace("connection ", "connection.", 1).partition(".")[0]
    left, right = sides
    top = _MARGIN + box.height * _DOWN - BOX_HEIGHT / 2
    return DrawnBox(box.name, _label(box.name), group, left, top, right - left)


def _path(line: Line, sides: list[tuple[float, float]]) -> str:
    """From the right side of the one to the left side of the other; straight through the layers that it passes."""
    reaching, leaving = (0, 1) if line.points[0][0] < line.points[-1][0] else (1, 0)
    first, *_, last = line.points
    parts = [f"M{sides[first[0]][leaving]:.1f},{_MARGIN + first[1] * _DOWN:.1f}"]
    for (layer, height), (next_layer, next_height) in pairwise(line.points):
        y, next_y = _MARGIN + height * _DOWN, _MARGIN + next_height * _DOWN
        end = sides[next_layer][reaching]
        middle = (sides[layer][leaving] + end) / 2
        parts.append(f"C{middle:.1f},{y:.1f} {middle:.1f},{next_y:.1f} {end:.1f},{next_y:.1f}")
        if next_layer != last[0]:
            parts.append(f"H{sides[next_layer][leaving]:.1f}")
    return "".join(parts)
