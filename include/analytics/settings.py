"""What the marts are told by the environment."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import available_timezones

TIME_ZONE = "REGULARS_TIME_ZONE"


class BadTimeZone(ValueError):
    """The time zone of the shop is none."""


def time_zone_of(environment: Mapping[str, str]) -> str:
    """Where the shop's days begin: REGULARS_TIME_ZONE, a name of the IANA database; UTC if it is unset or empty.

    :raises BadTimeZone: there is no such time zone.
    """
    name = environment.get(TIME_ZONE, "").strip() or "UTC"
    if name not in available_timezones():
        raise BadTimeZone(f"{TIME_ZONE} is {name!r}, which is no time zone. Give a name such as Europe/Berlin.")
    return name
