"""Instants as the sandbox keeps them: whole seconds since 1970 in UTC, the resolution of WooCommerce."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

DAY = 86_400
FOREVER = 2**62


def seconds_of(moment: datetime) -> int:
    """Seconds since 1970 of a moment with a time zone; a fraction of a second is cut off."""
    return int(moment.timestamp() // 1)


def parse_instant(text: str) -> int:
    """Seconds since 1970 of an ISO 8601 text; without a zone it is read as UTC.

    :raises ValueError: not an ISO 8601 instant.
    """
    moment = datetime.fromisoformat(text)
    return seconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def gmt(instant: int) -> str:
    """The instant as WooCommerce writes it: `2024-01-31T08:00:00`, UTC, without a zone."""
    day, second = divmod(instant, DAY)
    return f"{_date(day)}T{second // 3_600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


@lru_cache(maxsize=1 << 14)
def _date(day: int) -> str:
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()


def zulu(instant: int) -> str:
    """The instant with its zone: `2024-01-31T08:00:00Z`."""
    return gmt(instant) + "Z"


def floor_to_day(instant: int) -> int:
    """The UTC midnight at or before the instant."""
    return instant - instant % DAY
