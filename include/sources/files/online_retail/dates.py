"""The dates of an export: ISO 8601, or day, month and year in an order that the whole file agrees on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

_PARTED = re.compile(r"(\d{1,2})([/.\-])(\d{1,2})[/.\-](\d{4}|\d{2})(?:[ T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?")


class DateOrderUnclear(ValueError):
    """Some dates of the file can only be day first, others only month first."""


class DateReader:
    """Reads the dates of one file.

    `12/1/2010` is month first as in the UCI export, `1-12-2010` and `1.12.2010` are day first, unless the file
    itself shows otherwise by a number above 12. Times without a zone are UTC.

    :param samples: all dates of the file, to find the order of day and month from.
    :param is_day_first: what is known of that order already.
    :raises DateOrderUnclear: the file holds both orders.
    """

    def __init__(self, samples: Sequence[str], *, is_day_first: bool | None = None) -> None:
        matches = [match for match in map(_PARTED.fullmatch, map(str.strip, samples)) if match]
        must_be_day_first = next((match[0] for match in matches if int(match[1]) > 12), None)
        must_be_month_first = next((match[0] for match in matches if int(match[3]) > 12), None)
        if must_be_day_first and must_be_month_first:
            raise DateOrderUnclear(f"{must_be_day_first!r} has the day first and {must_be_month_first!r} the month")
        self.is_day_first = is_day_first
        if must_be_day_first or must_be_month_first:
            self.is_day_first = must_be_day_first is not None

    def read(self, text: str) -> datetime:
        """The instant in UTC.

        :raises ValueError: not a date.
        """
        text = text.strip()
        match = _PARTED.fullmatch(text)
        moment = self._parted(match) if match else datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    def _parted(self, match: re.Match[str]) -> datetime:
        is_day_first = match[2] != "/" if self.is_day_first is None else self.is_day_first
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        day, month = (first, second) if is_day_first else (second, first)
        year += 2000 if year < 100 else 0
        hour, minute, second_of_minute = (int(match[part] or 0) for part in (5, 6, 7))
        return datetime(year, month, day, hour, minute, second_of_minute, tzinfo=UTC)
