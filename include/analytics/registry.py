"""All marts by name, those that others are made of first."""

from __future__ import annotations

from include.analytics.catalogue import MARTS_OF_CATALOGUE
from include.analytics.mart import BadMart, ByDay, Mart
from include.analytics.marts_of_behaviour import MARTS_OF_BEHAVIOUR
from include.analytics.marts_of_customers import MARTS_OF_CUSTOMERS
from include.analytics.marts_of_money import MARTS_OF_MONEY

SALES_DAILY = Mart(
    name="sales_daily",
    key=("sold_on", "currency"),
    inputs=("shop.orders", "shop.refunds"),
    kept_up=ByDay("sold_on"),
)

MARTS: dict[str, Mart] = {
    mart.name: mart
    for mart in (SALES_DAILY, *MARTS_OF_MONEY, *MARTS_OF_CUSTOMERS, *MARTS_OF_BEHAVIOUR, *MARTS_OF_CATALOGUE)
}


class UnknownMart(LookupError):
    """No mart has that name."""


def mart_named(name: str) -> Mart:
    """:raises UnknownMart: there is none."""
    if name not in MARTS:
        raise UnknownMart(f"There is no mart {name!r}. There are: {', '.join(MARTS)}.")
    return MARTS[name]


def refreshed_before(mart: Mart) -> tuple[str, ...]:
    """Names of the marts that must be refreshed before it."""
    return tuple(name for name in MARTS if name != mart.name) if mart.is_last else mart.upstream


def _check_order() -> None:
    """:raises BadMart: a mart stands before one that it is made of."""
    seen: set[str] = set()
    for mart in MARTS.values():
        if late := [name for name in refreshed_before(mart) if name not in seen]:
            raise BadMart(f"{mart.name} is made of {', '.join(late)}: put that before it in the registry.")
        seen.add(mart.name)


_check_order()
