"""How long history keeps which snapshots, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from include.features.upkeep.retention import BadPolicy, RetentionPolicy

_VARIABLES = {
    "daily": "REGULARS_FEATURE_DAILY_DAYS",
    "weekly": "REGULARS_FEATURE_WEEKLY_DAYS",
    "monthly": "REGULARS_FEATURE_MONTHLY_DAYS",
}


def retention_of(environment: Mapping[str, str]) -> RetentionPolicy:
    """REGULARS_FEATURE_DAILY_DAYS, REGULARS_FEATURE_WEEKLY_DAYS and REGULARS_FEATURE_MONTHLY_DAYS; unset is for ever.

    :raises BadPolicy: one is no whole number from 1 on, or a finer grain would be kept for longer than a coarser one.
    """
    ages: dict[str, timedelta | None] = {}
    for name, variable in _VARIABLES.items():
        text = environment.get(variable, "")
        if text and not (text.isascii() and text.isdigit() and int(text) >= 1):
            raise BadPolicy(f"{variable} is {text!r}. Write a whole number of days, 1 or more, or leave it out.")
        ages[name] = timedelta(days=int(text)) if text else None
    return RetentionPolicy(**ages)
