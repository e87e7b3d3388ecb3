"""What customers bought and gave back, computed the plain way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.integration.purchase_facts import DAY, Fact, Line, Order, Version, purchases_of, refunds_of


def plain_basket(facts: Sequence[Fact], customer: int, snapshot: datetime) -> dict[str, Any] | None:
    """Every feature of one customer at one snapshot, or None if they had bought nothing before it."""
    orders = purchases_of(facts, customer, snapshot)
    if not orders:
        return None
    refunds = refunds_of(facts, customer, snapshot)
    refunded_ids = {refund.order_id for refund in refunds}
    year = [order for order in orders if order.paid_at >= snapshot - 365 * DAY]
    lines = _lines(year)
    goods = sum((line.amount for line in lines), Decimal(0))
    discount = sum((order.discount for order in year), Decimal(0))
    refunded = sum(refund.amount for refund in refunds if refund.refunded_at >= snapshot - 365 * DAY)
    units: Counter[int] = Counter()
    for line in _lines(orders):
        if line.product_id is not None:
            units[line.product_id] += line.quantity
    return {
        **_categories(facts, lines, goods, snapshot),
        "distinct_product_count_ever": len(units),
        "product_concentration_ever": _share(sum(count**2 for count in units.values()), units.total() ** 2),
        "units_per_order_365d": _share(sum(line.quantity for line in lines), len(year)),
        "lines_per_order_365d": _share(len(lines), len(year)),
        "average_unit_price_365d": _share(goods, sum(line.quantity for line in lines)),
        "discounted_order_share_365d": _share(sum(order.discount > 0 for order in year), len(year)),
        "discount_share_365d": _share(discount, goods + discount),
        "refunded_value_share_365d": _share(refunded, sum(order.amount for order in year)),
        "refunded_order_share_ever": _share(sum(order.order_id in refunded_ids for order in orders), len(orders)),
        "product_repeat_share_365d": _repeat_share(orders, year),
        "product_repeat_share_ever": _repeat_share(orders, orders),
    }


def _lines(orders: Sequence[Order]) -> list[Line]:
    return [line for order in orders for line in order.lines if line.kind == "product"]


def _products(order: Order) -> set[int]:
    return {line.product_id for line in _lines([order]) if line.product_id is not None}


def _repeat_share(orders: Sequence[Order], counted: Sequence[Order]) -> float | None:
    """Of the products of the orders counted, once per order, the share that any order before had."""
    known: set[int] = set()
    bought = again = 0
    for order in orders:
        if order in counted:
            bought += len(_products(order))
            again += len(_products(order) & known)
        known |= _products(order)
    return _share(again, bought)


def _categories(facts: Sequence[Fact], lines: Sequence[Line], goods: Decimal, snapshot: datetime) -> dict[str, Any]:
    spent: dict[str, Decimal] = {}
    for line in lines:
        for category in _categories_of(facts, line.product_id, snapshot):
            spent[category] = spent.get(category, Decimal(0)) + line.amount
    favourite = min(spent, key=lambda category: (-spent[category], category.encode()), default=None)
    return {
        "distinct_category_count_365d": len(spent),
        "favourite_category_365d": favourite,
        "favourite_category_share_365d": None if favourite is None else _share(spent[favourite], goods),
    }


def _categories_of(facts: Sequence[Fact], product_id: int | None, snapshot: datetime) -> set[str]:
    """The categories of the last version of a product that was known before the snapshot."""
    versions = [fact for fact in facts if isinstance(fact, Version) and fact.product_id == product_id]
    later = [version for version in versions if version.known_from is not None and version.known_from < snapshot]
    first = [version for version in versions if version.known_from is None]
    known = first + sorted(later, key=lambda version: version.known_from)
    return set(known[-1].categories) if known else set()


def _share(part: Decimal | int, whole: Decimal | int) -> float | None:
    return float(part) / float(whole) if whole else None
