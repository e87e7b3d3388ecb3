"""A measured ratio."""

from __future__ import annotations

import operator
from dataclasses import dataclass

_RELATIONS = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the table that `make bench` prints.

    :param name: `part.name`, the part being ingestion, features, models or analytics.
    :param against: what it was measured against, in words.
    :param goal: `≥` or `≤` and a number, in `unit`; None where the figure is only shown.
    :param detail: the raw figures behind the ratio.
    """

    name: str
    value: float
    unit: str
    against: str
    goal: str | None = None
    detail: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal is None:
            return None
        relation, bound = self.goal.split()
        return _RELATIONS[relation](self.value, float(bound))

    def as_json(self) -> dict[str, object]:
        """As kept in `.local/bench.json`."""
        return {
            "value": round(self.value, 4),
            "unit": self.unit,
            "against": self.against,
            "goal": self.goal,
            "holds": self.holds,
            "detail": self.detail,
        }
