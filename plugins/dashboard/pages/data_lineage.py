"""Lineage as SVG: which boxes and lines to draw where, in pixels."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise

from include.analytics.lineage_drawing import Edge, Line, lay_out, neighbourhood

BOX_WIDTH, BOX_HEIGHT = 160, 22
_ACROSS, _DOWN = 184, 30
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
    boxes = [_box(box.name, box.layer, box.height) for box in drawing.boxes]
    return DrawnLineage(
        boxes=boxes,
        lines=[DrawnLine(line.upstream, line.downstream, _path(line)) for line in drawing.lines],
        width=max(drawing.layers - 1, 0) * _ACROSS + BOX_WIDTH + 2 * _MARGIN,
        height=round(drawing.height * _DOWN) + 2 * _MARGIN,
        groups=sorted({box.group for box in boxes}),
    )


def _box(name: str, layer: int, height: float) -> DrawnBox:
    group, _, own = name.replace("connection ", "connection.", 1).partition(".")
    label = own if len(own) <= _LONGEST_NAME else f"{own[: _LONGEST_NAME - 1]}…"
    return DrawnBox(name, label, group, _MARGIN + layer * _ACROSS, _MARGIN + height * _DOWN - BOX_HEIGHT / 2)


def _path(line: Line) -> str:
    """From the right side of the one to the left side of the other; straight through the layers that it passes."""
    is_forward = line.points[0][0] < line.points[-1][0]
    leaving, reaching = (BOX_WIDTH, 0) if is_forward else (0, BOX_WIDTH)
    points = [(_MARGIN + layer * _ACROSS, _MARGIN + height * _DOWN) for layer, height in line.points]
    parts = [f"M{points[0][0] + leaving:g},{points[0][1]:.1f}"]
    for (x, y), (next_x, next_y) in pairwise(points):
        end = next_x + reaching
        middle = (x + leaving + end) / 2
        parts.append(f"C{middle:g},{y:.1f} {middle:g},{next_y:.1f} {end:g},{next_y:.1f}H{next_x + leaving:g}")
    return "".join(parts)[: -len(f"H{points[-1][0] + leaving:g}")]
