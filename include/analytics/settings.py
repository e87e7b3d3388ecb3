"""What the marts are told by the environment."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from zoneinfo import available_timezones

TIME_ZONE = "REGULARS_TIME_ZONE"
LEAST_SUPPORT = "REGULARS_BASKET_LEAST_SUPPORT"


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


class BadLeastSupport(ValueError):
    """The least support of what is bought together is no share."""


def mart_settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """What the SQL of marts may ask for as `analytics.<name>()`, by name.

    `least_support`: in what share of all baskets products must be together to be told of in `market_basket`:
    REGULARS_BASKET_LEAST_SUPPORT, above 0 and up to 1; 0.005 if it is unset or empty.

    :raises BadLeastSupport: it is no such number.
    """
    text = environment.get(LEAST_SUPPORT, "").strip() or "0.005"
    try:
        is_share = 0 < Decimal(text) <= 1
    except InvalidOperation:
        is_share = False
    if not is_share:
        raise BadLeastSupport(f"{LEAST_SUPPORT} is {text!r}. Give a share above 0 and up to 1, such as 0.005.")
    return {"least_support": text}
