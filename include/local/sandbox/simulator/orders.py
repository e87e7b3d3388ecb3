"""One order's life: basket, payment, delivery, refunds, late edits. Drafts first, ids and versions later."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from include.local.sandbox.instants import DAY
from include.local.sandbox.simulator.catalogue import Catalogue, CatalogueProduct
from include.local.sandbox.simulator.people import Person, draw_basket_cents

_REASONS = ("Does not fit", "Damaged in transit", "Not as described", "Ordered by mistake", "")
_FREE_SHIPPING_FROM = 5_000
_SHIPPING_CENTS = 495
_GIFT_WRAP_CENTS = 250
_MOST_LINES = 12
COMPLETED_AFTER_DAYS = (0.5, 4.5)
REFUNDED_AFTER_DAYS = (1, 24)
REFUNDED_SHARE = 0.06
REFUNDED_SHARE_OF_LAST = 0.22


@dataclass
class DraftLine:
    """A product line before it has an id."""

    product: CatalogueProduct
    quantity: int
    price_cents: int


@dataclass
class DraftRefund:
    """Money given back: whole lines, or the first line only. `is_linked` is whether the refund knows its order."""

    refunded_at: int
    is_full: bool
    is_linked: bool
    reason: str
    refund_id: int = 0


@dataclass
class LateEdit:
    """A change of an old order: `quantity` of the first line, its `product`, or the `status`."""

    edited_at: int
    kind: str
    quantity: int
    product: CatalogueProduct


@dataclass
class DraftOrder:
    """An order with everything that ever happens to it. Instants in seconds since 1970, None for never."""

    person: Person
    created_at: int
    paid_at: int | None
    completed_at: int | None
    closed_at: int | None
    closed_status: str
    lines: list[DraftLine]
    discount_percent: int
    has_gift_wrap: bool
    payment: str
    refunds: list[DraftRefund] = field(default_factory=list)
    edit: LateEdit | None = None
    order_id: int = 0

    @property
    def shipping_cents(self) -> int:
        """Flat rate, free from 50 on."""
        goods = sum(line.quantity * line.price_cents for line in self.lines)
        return 0 if goods >= _FREE_SHIPPING_FROM else _SHIPPING_CENTS

    @property
    def gift_wrap_cents(self) -> int:
        """Fee for wrapping, 0 without."""
        return _GIFT_WRAP_CENTS if self.has_gift_wrap else 0


class OrderBook:
    """Draws drafts of orders."""

    def __init__(self, *, catalogue: Catalogue, random: np.random.Generator) -> None:
        self._catalogue = catalogue
        self._random = random

    def paid_order(self, person: Person, *, paid_at: int, is_last: bool) -> DraftOrder:
        """An order paid at the given instant. The last order before a drop-out goes wrong more often."""
        random = self._random
        order = self._draft(person, created_at=paid_at - int(random.integers(30, 600)))
        order.paid_at = paid_at
        order.completed_at = paid_at + int(random.uniform(*COMPLETED_AFTER_DAYS) * DAY)
        if random.random() < (REFUNDED_SHARE_OF_LAST if is_last else REFUNDED_SHARE):
            order.refunds.append(self._refund(order))
        elif random.random() < 0.03:
            order.edit = self._edit(order)
        return order

    def unpaid_order(self, person: Person, *, created_at: int) -> DraftOrder:
        """An order that nobody paid: its payment failed, or it was cancelled, or it is still pending."""
        order = self._draft(person, created_at=created_at)
        order.closed_status = ("failed", "cancelled", "pending")[self._random.choice(3, p=(0.45, 0.4, 0.15))]
        order.closed_at = (
            None if order.closed_status == "pending" else created_at + int(self._random.integers(20, 7200))
        )
        return order

    def _draft(self, person: Person, *, created_at: int) -> DraftOrder:
        random = self._random
        return DraftOrder(
            person=person,
            created_at=created_at,
            paid_at=None,
            completed_at=None,
            closed_at=None,
            closed_status="",
            lines=self._basket(person, ordered_at=created_at),
            discount_percent=10 if random.random() < 0.06 else 0,
            has_gift_wrap=bool(random.random() < 0.05),
            payment="stripe" if random.random() < 0.6 else "paypal",
        )

    def _basket(self, person: Person, *, ordered_at: int) -> list[DraftLine]:
        wanted = draw_basket_cents(person, self._random)
        lines: dict[int, DraftLine] = {}
        spent = 0.0
        while not lines or (spent < wanted and len(lines) < _MOST_LINES):
            product = self._catalogue.draw_product(person.liking, self._random)
            quantity = int(self._random.geometric(0.7))
            line = lines.setdefault(product.product_id, DraftLine(product, 0, product.price_at(ordered_at)))
            line.quantity += quantity
            spent += quantity * line.price_cents
        return list(lines.values())

    def _refund(self, order: DraftOrder) -> DraftRefund:
        random = self._random
        assert order.completed_at is not None
        return DraftRefund(
            refunded_at=order.completed_at + int(random.uniform(*REFUNDED_AFTER_DAYS) * DAY),
            is_full=bool(random.random() < 0.35) or len(order.lines) == 1,
            is_linked=bool(random.random() < 0.9),
            reason=_REASONS[random.integers(len(_REASONS))],
        )

    def _edit(self, order: DraftOrder) -> LateEdit:
        random = self._random
        assert order.completed_at is not None
        return LateEdit(
            edited_at=order.completed_at + int(random.uniform(14, 70) * DAY),
            kind=("quantity", "product", "status")[random.choice(3, p=(0.5, 0.3, 0.2))],
            quantity=order.lines[0].quantity + int(random.integers(1, 3)),
            product=self._catalogue.draw_product(order.person.liking, random),
        )
