"""Lineage as a layered drawing: what is made of others stands right of all of them, and lines cross little.

After K. Sugiyama, S. Tagawa and M. Toda (1981), Methods for Visual Understanding of Hierarchical System Structures:
layers by the longest way from a source, helpers where a line passes a layer, order within layers by the mean place of
the neighbours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

Edge = tuple[str, str]
"""What is read, and what is made of it."""
_Helper = tuple[Edge, int]
_Item = str | _Helper

_SWEEPS = 12
_HELPER_HEIGHT = 0.4


@dataclass(frozen=True, slots=True)
class Box:
    """One table in the drawing.

    :param layer: 0 is leftmost.
    :param height: where its middle is, downwards, in boxes.
    """

    name: str
    layer: int
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """From a table to one that is made of it.

    :param points: (layer, height) from the one to the other, one for each layer that it passes.
    """

    upstream: str
    downstream: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes and lines on a ground that is `layers` wide and `height` boxes high."""

    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    layers: int
    height: float


def neighbourhood(edges: Collection[Edge], name: str, *, steps: int = 2) -> tuple[set[str], set[Edge]]:
    """What a table is made of, directly and by up to `steps` steps, and what is made of it likewise; with itself."""
    names, kept = {name}, set()
    for ahead in (False, True):
        border = {name}
        for _ in range(steps):
            found = {edge for edge in edges if edge[0 if ahead else 1] in border}
            kept |= found
            border = {edge[1 if ahead else 0] for edge in found}
            names |= border
    return names, kept


def lay_out(names: Iterable[str], edges: Iterable[Edge]) -> Drawing:
    """Place tables and lines; the same names and edges give the same drawing.

    Edges of one table to itself are left out. Where tables are made of each other in a ring, one line of it goes back
    to the left.
    """
    wanted = sorted({edge for edge in edges if edge[0] != edge[1]})
    all_names = sorted({*names, *(end for edge in wanted for end in edge)})
    forward = {edge: edge for edge in wanted}
    for edge in _closing_rings(all_names, wanted):
        forward[edge] = (edge[1], edge[0])
    layer = _layers(all_names, set(forward.values()))
    ways = {edge: _way(own, layer) for edge, own in forward.items()}
    columns = _columns(all_names, layer, ways.values())
    _untangle(columns, ways.values())
    heights, height = _heights(columns)
    return Drawing(
        boxes=tuple(Box(name, layer[name], heights[name]) for name in all_names),
        lines=tuple(
            Line(*edge, points=_points(way, layer, heights, is_turned=forward[edge] != edge))
            for edge, way in ways.items()
        ),
        layers=len(columns),
        height=height,
    )


def _closing_rings(names: Iterable[str], edges: Iterable[Edge]) -> set[Edge]:
    """Edges without which there is no ring: those that lead back to where a walk came from."""
    after = defaultdict(list)
    for upstream, downstream in edges:
        after[upstream].append(downstream)
    closing: set[Edge] = set()
    done: set[str] = set()
    for start in names:
        path, stack = {start}, [(start, iter(after[start]))]
        while stack and start not in done:
            at, following = stack[-1]
            name = next(following, None)
            if name is None:
                stack.pop()
                path.discard(at)
                done.add(at)
            elif name in path:
                closing.add((at, name))
            elif name not in done:
                path.add(name)
                stack.append((name, iter(after[name])))
    return closing


def _layers(names: Iterable[str], edges: Collection[Edge]) -> dict[str, int]:
    """The longest way from a source to each; without rings."""
    before = defaultdict(set)
    for upstream, downstream in edges:
        before[downstream].add(upstream)
    layer: dict[str, int] = {}
    waiting = set(names)
    number = 0
    while waiting:
        ready = {name for name in waiting if not before[name] & waiting}
        layer |= dict.fromkeys(ready, number)
        waiting -= ready
        number += 1
    return layer


def _way(edge: Edge, layer: Mapping[str, int]) -> list[_Item]:
    """The two ends, and a helper in each layer between them."""
    upstream, downstream = edge
    return [upstream, *((edge, n) for n in range(layer[upstream] + 1, layer[downstream])), downstream]


def _columns(names: Iterable[str], layer: Mapping[str, int], ways: Iterable[list[_Item]]) -> list[list[_Item]]:
    columns: list[list[_Item]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for name in names:
        columns[layer[name]].append(name)
    for way in ways:
        for number, helper in enumerate(way[1:-1], start=layer[str(way[0])] + 1):
            columns[number].append(helper)
    return columns


def _untangle(columns: list[list[_Item]], ways: Iterable[list[_Item]]) -> None:
    """Order each column by the mean place of the neighbours, rightwards and leftwards in turn; keeps the best order."""
    before, after = defaultdict(list), defaultdict(list)
    for way in ways:
        for left, right in pairwise(way):
            after[left].append(right)
            before[right].append(left)
    best, fewest = [list(column) for column in columns], _crossings(columns, after)
    for sweep in range(_SWEEPS):
        rightwards = sweep % 2 == 0
        neighbours = before if rightwards else after
        for number in range(1, len(columns)) if rightwards else range(len(columns) - 2, -1, -1):
            fixed = {item: place for place, item in enumerate(columns[number - 1 if rightwards else number + 1])}
            own = {item: float(place) for place, item in enumerate(columns[number])}
            means = {
                item: fmean(fixed[each] for each in neighbours[item]) if neighbours[item] else own[item] for item in own
            }
            columns[number].sort(key=lambda item, means=means, own=own: (means[item], own[item]))  # type: ignore[misc]  # binds the loop's values
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    columns[:] = best


def _crossings(columns: list[list[_Item]], after: Mapping[_Item, list[_Item]]) -> int:
    """How many pairs of lines between neighbouring columns cross."""
    total = 0
    for left, right in pairwise(columns):
        place = {item: number for number, item in enumerate(right)}
        ends = [place[end] for item in left for end in sorted(after.get(item, []), key=lambda each: place[each])]
        total += sum(later < earlier for n, earlier in enumerate(ends) for later in ends[n + 1 :])
    return total


def _heights(columns: list[list[_Item]]) -> tuple[dict[_Item, float], float]:
    """The middle of each item, columns centred beside each other, and the height of all."""
    spans = [[1.0 if isinstance(item, str) else _HELPER_HEIGHT for item in column] for column in columns]
    height = max(map(sum, spans), default=0.0)
    heights: dict[_Item, float] = {}
    for column, own in zip(columns, spans, strict=True):
        top = (height - sum(own)) / 2
        for item, span in zip(column, own, strict=True):
            heights[item] = top + span / 2
            top += span
    return heights, height


def _points(
    way: list[_Item], layer: Mapping[str, int], heights: Mapping[_Item, float], *, is_turned: bool
) -> tuple[tuple[int, float], ...]:
    points = [(number, heights[item]) for number, item in enumerate(way, start=layer[str(way[0])])]
    return tuple(reversed(points) if is_turned else points)
