"""Telling the answer to our question from one to another, which a cache may give, by the times of its rows."""

from __future__ import annotations

from datetime import datetime

CREDIBLE_YEARS = range(1990, 2100)
"""When a shop can have had rows. A time beyond is the mistake of one row, and says nothing about the page."""


def is_of_another_time(moment: datetime, *, start: datetime, end: datetime) -> bool:
    """Whether a row of this time was not asked for by `[start, end)`; all with or all without a time zone."""
    return not start <= moment < end and moment.year in CREDIBLE_YEARS
