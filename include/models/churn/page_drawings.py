"""Line charts and bars as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480, 320, 56, 14, 14, 44
_BAR, _NAMES = 22, 420


@dataclass(frozen=True, slots=True)
class Line:
    """Points joined by a line, in the colour of that number."""

    title: str
    points: Sequence[tuple[float, float]]
    colour: int
    has_dots: bool = False


def chart(lines: Sequence[Line], *, x: str, y: str, caption: str, has_diagonal: bool = False) -> str:
    """Lines over one pair of axes, with a legend; x runs from 0 to 1."""
    values = [value for line in lines for _, value in line.points]
    low, high = (0.0, 1.0) if has_diagonal else (min([0.0, *values]), max([0.0, *values]))
    high = high if high > low else low + 1

    def place(px: float, py: float) -> tuple[float, float]:
        across = _LEFT + px * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - (py - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_axes(place, low, high, x=x, y=y)]
    if has_diagonal:
        (x1, y1), (x2, y2) = place(0, 0), place(1, 1)
        parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="var(--line)" stroke-dasharray="4 4"/>')
    for line in lines:
        points = [place(px, py) for px, py in line.points]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="var(--c{line.colour})" stroke-width="2"/>')
        if line.has_dots:
            parts += [
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="var(--c{line.colour})"/>' for px, py in points
            ]
    for number, line in enumerate(lines):
        top = _TOP + 14 + 16 * number
        parts.append(f'<rect x="{_LEFT + 10}" y="{top - 8}" width="14" height="4" fill="var(--c{line.colour})"/>')
        parts.append(f'<text x="{_LEFT + 30}" y="{top - 2}">{escape(line.title)}</text>')
    drawn = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(caption)}">{"".join(parts)}</svg>'
    return f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>"


def _axes(place: Callable[[float, float], tuple[float, float]], low: float, high: float, *, x: str, y: str) -> str:
    parts = []
    for number in range(6):
        part = number / 5
        px, bottom = place(part, low)
        parts.append(f'<text x="{px:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{part:.0%}</text>')
        value = low + part * (high - low)
        left, py = place(0, value)
        right, _ = place(1, value)
        parts.append(f'<line x1="{left}" y1="{py:.1f}" x2="{right}" y2="{py:.1f}" stroke="var(--line)"/>')
        text = f"{value:.0%}" if (low, high) == (0.0, 1.0) else f"{value:,.0f}"
        parts.append(f'<text x="{left - 6}" y="{py + 4:.1f}" text-anchor="end">{text}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>')
    half = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(f'<text x="12" y="{half}" text-anchor="middle" transform="rotate(-90 12 {half})">{escape(y)}</text>')
    return "".join(parts)


def bars(rows: Sequence[tuple[str, float, float]]) -> str:
    """A bar per row: what it is, how long, and its deviation, as text behind it."""
    if not rows:
        return ""
    longest = max(max(value for _, value, _ in rows), 1e-9)
    width, height = 900, 10 + _BAR * len(rows)
    parts = []
    for number, (title, value, deviation) in enumerate(rows):
        top = 6 + _BAR * number
        length = max(0.0, value) / longest * (width - _NAMES - 150)
        parts.append(f'<text x="{_NAMES - 8}" y="{top + 14}" text-anchor="end">{escape(_short(title))}</text>')
        parts.append(f'<rect x="{_NAMES}" y="{top + 3}" width="{length:.1f}" height="{_BAR - 8}" fill="var(--c0)"/>')
        parts.append(f'<text x="{_NAMES + length + 6:.1f}" y="{top + 14}">{value:.4f} ± {deviation:.4f}</text>')
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def _short(text: str, most: int = 66) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
