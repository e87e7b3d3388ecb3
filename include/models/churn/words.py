"""What moved a score, in words: a feature's value beside the typical one."""

from __future__ import annotations

import math
from dataclasses import dataclass

_SINCE = "time since the "


@dataclass(frozen=True, slots=True)
class Words:
    """What a feature is called and counted in, kept with the model so that an old one still explains itself.

    :param typical: its value at the reference customer: the median of training, the commonest text, None if unknown.
    """

    description: str
    unit: str
    typical: float | str | None

    def say(self, value: float | str | None) -> str:
        """`last purchase 143 days ago; typical is 30`, or `paid orders ever: 2 orders; typical is 5`."""
        typical = f"typical is {_plain(self.typical, self.unit)}"
        if self.description.startswith(_SINCE) and self.unit == "days":
            since = self.description.removeprefix(_SINCE)
            if value is None:
                return f"no {since} is known; {typical}"
            return f"{since} {_with_unit(value, self.unit)} ago; {typical}"
        return f"{self.description}: {_with_unit(value, self.unit)}; {typical}"


def _with_unit(value: float | str | None, unit: str) -> str:
    is_counted = isinstance(value, float) and unit.isalpha() and unit not in ("ratio", "name")
    if not is_counted:
        return _plain(value, unit)
    text = _plain(value, unit)
    return f"{text} {unit.removesuffix('s') if text == '1' else unit}"


def _plain(value: float | str | None, unit: str) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return value
    if unit.startswith("share"):
        return f"{100 * value:.0f} %"
    if math.isclose(value, round(value), abs_tol=1e-9) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 1 else f"{value:.2g}"
