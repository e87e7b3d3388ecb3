"""All marts by name, those that others are made of first."""

from __future__ import annotations

from include.analytics.mart import BadMart, Mart

SALES_DAILY = Mart(
    name="sales_daily",
    key=("sold_on", "currency"),
    inputs=("shop.orders", "shop.refunds"),
    day_column="sold_on",
)

MARTS: dict[str, Mart] = {mart.name: mart for mart in (SALES_DAILY,)}


class UnknownMart(LookupError):
    """No mart has that name."""


def mart_named(name: str) -> Mart:
    """:raises UnknownMart: there is none."""
    if name not in MARTS:
        raise UnknownMart(f"There is no mart {name!r}. There are: {', '.join(MARTS)}.")
    return MARTS[name]


def _check_order() -> None:
    """:raises BadMart: a mart stands before one that it is made of."""
    seen: set[str] = set()
    for mart in MARTS.values():
        if late := [name for name in mart.upstream if name not in seen]:
            raise BadMart(f"{mart.name} is made of {', '.join(late)}: put that before it in the registry.")
        seen.add(mart.name)


_check_order()
