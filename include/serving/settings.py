"""How the API behaves; every value has a default that suits one process on a small machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """Limits and intervals.

    :param timeout_seconds: a request that has no answer by then gets 504.
    :param most_body_bytes: a longer body gets 413.
    :param most_target_bytes: a longer path with query gets 414.
    :param most_header_bytes: names and values of all headers; more gets 431.
    :param most_at_once: requests beyond so many in work get 503.
    :param key_seconds: how often the keys are read anew; a revoked key counts for so long at most.
    :param champion_seconds: how often the registry is asked for the champion.
    :param clock: what is now, in UTC; a shop whose time stands still has a clock that stands still.
    """

    timeout_seconds: float = 5.0
    most_body_bytes: int = 64 * 1024
    most_target_bytes: int = 4 * 1024
    most_header_bytes: int = 16 * 1024
    most_at_once: int = 1000
    key_seconds: float = 2.0
    champion_seconds: float = 5.0
    clock: Callable[[], datetime] = utc_now
