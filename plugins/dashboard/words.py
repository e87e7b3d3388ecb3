"""How values are written on the pages: the filters of the templates. None is written as a dash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

NOTHING = "–"
Number = int | float | Decimal


def number(value: Number | None, digits: int = 0) -> str:
    """1234.5 as `1,234` or, with one digit, `1,234.5`."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def digits(value: Number | None) -> str:
    """Four digits after the point, for scores and ratios: `0.8705`."""
    return number(value, 4)


def amount(value: Number | None, currency: str = "", digits: int = 0) -> str:
    """Money: `1,234 GBP`."""
    return NOTHING if value is None else f"{number(value, digits)} {currency}".strip()


def share(value: Number | None, digits: int = 1) -> str:
    """0.123 as `12.3 %`."""
    return NOTHING if value is None else f"{value * 100:.{digits}f} %"


def change(value: Number | None, digits: int = 1) -> str:
    """0.123 as `+12.3 %`."""
    return NOTHING if value is None else f"{value * 100:+.{digits}f} %"


def day(value: date | None) -> str:
    """2024-01-31."""
    return NOTHING if value is None else f"{value:%Y-%m-%d}"


def instant(value: datetime | None) -> str:
    """2024-01-31 02:15, in UTC."""
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def seconds(value: Number | None) -> str:
    """A duration: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 days`."""
    if value is None:
        return NOTHING
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 2 * 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} days"


def ago(value: datetime | None, now: datetime) -> str:
    """How long before `now`: `3 min 5 s ago`."""
    return "never" if value is None else f"{seconds(max((now - value).total_seconds(), 0))} ago"


def sentence(words: str) -> str:
    """Words with a capital letter at their beginning."""
    return words[:1].upper() + words[1:]


def text(value: object) -> str:
    """Any value of a table as it is."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, float | Decimal):
        return number(value, 2)
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


FILTERS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (number, digits, amount, share, change, day, instant, seconds, ago, sentence, text)
}  # fmt: skip
