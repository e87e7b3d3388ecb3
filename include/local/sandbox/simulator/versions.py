"""Drafts of orders turned into the versions that WooCommerce would have shown, instant by instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from include.local.sandbox import wire
from include.local.sandbox.instants import gmt
from include.local.sandbox.shop import Collection
from include.local.sandbox.simulator.orders import DraftLine, DraftOrder, DraftRefund

_PAYMENT_TITLES = {"stripe": "Credit card", "paypal": "PayPal"}
_LINES_PER_ORDER = 20
_SHIPPING_NUMBER, _FEE_NUMBER, _COUPON_NUMBER = 17, 18, 19


@dataclass
class _State:
    """What an order is at one instant."""

    lines: list[DraftLine]
    status: str
    paid_at: int | None = None
    completed_at: int | None = None
    refunds: tuple[DraftRefund, ...] = ()


def orders_collection(drafts: Sequence[DraftOrder], *, end: int) -> Collection:
    """Every order in all of its versions before `end`."""
    versions = [(draft, state, instant) for draft in drafts for instant, state in _history(draft) if instant < end]
    return Collection(
        keys=[draft.order_id for draft, _, _ in versions],
        created=[draft.created_at for draft, _, _ in versions],
        modified=[instant for _, _, instant in versions],
        items=_Orders(versions),
        statuses=[state.status for _, state, _ in versions],
    )


class _Orders(Sequence[wire.Order]):
    """Versions of orders, put on the wire's form when they are asked for."""

    def __init__(self, versions: list[tuple[DraftOrder, _State, int]]) -> None:
        self._versions = versions

    def __len__(self) -> int:
        return len(self._versions)

    def __getitem__(self, number: Any) -> Any:
        draft, state, instant = self._versions[number]
        return _order(draft, state, modified=instant)


def refunds_collection(drafts: Sequence[DraftOrder], *, end: int) -> Collection:
    """Every refund before `end`; a refund never changes."""
    pairs = [(draft, refund) for draft in drafts for refund in draft.refunds if refund.refunded_at < end]
    instants = [refund.refunded_at for _, refund in pairs]
    return Collection(
        keys=[refund.refund_id for _, refund in pairs],
        created=instants,
        modified=instants,
        items=[_refund(draft, refund) for draft, refund in pairs],
        parents=[draft.order_id if refund.is_linked else 0 for draft, refund in pairs],
    )


def _history(draft: DraftOrder) -> list[tuple[int, _State]]:
    """The order's states with their instants, in time order."""
    state = _State(lines=[replace(line) for line in draft.lines], status="pending")
    versions = [(draft.created_at, state)]
    if draft.closed_at is not None:
        versions.append((draft.closed_at, replace(state, status=draft.closed_status)))
    if draft.paid_at is None or draft.completed_at is None:
        return versions
    state = replace(state, status="processing", paid_at=draft.paid_at)
    versions.append((draft.paid_at, state))
    state = replace(state, status="completed", completed_at=draft.completed_at)
    versions.append((draft.completed_at, state))
    for refund in draft.refunds:
        if refund.is_linked:
            state = replace(
                state, refunds=(*state.refunds, refund), status="refunded" if refund.is_full else state.status
            )
            versions.append((refund.refunded_at, state))
    if draft.edit is not None:
        first = replace(state.lines[0])
        if draft.edit.kind == "quantity":
            first.quantity = draft.edit.quantity
        elif draft.edit.kind == "product":
            first = replace(
                first, product=draft.edit.product, price_cents=draft.edit.product.price_at(draft.edit.edited_at)
            )
        state = replace(
            state,
            lines=[first, *state.lines[1:]],
            status="cancelled" if draft.edit.kind == "status" else state.status,
        )
        versions.append((draft.edit.edited_at, state))
    return versions


def _line_cents(draft: DraftOrder, line: DraftLine) -> tuple[int, int]:
    """Subtotal and total of a line in cents; the discount is rounded down per line."""
    subtotal = line.quantity * line.price_cents
    return subtotal, subtotal - subtotal * draft.discount_percent // 100


def _line_id(draft: DraftOrder, number: int) -> int:
    return draft.order_id * _LINES_PER_ORDER + number


def _order(draft: DraftOrder, state: _State, *, modified: int) -> wire.Order:
    amounts = [_line_cents(draft, line) for line in state.lines]
    discount = sum(subtotal - total for subtotal, total in amounts)
    total = sum(total for _, total in amounts) + draft.shipping_cents + draft.gift_wrap_cents
    shipping_method = "flat_rate" if draft.shipping_cents else "free_shipping"
    return wire.Order(
        id=draft.order_id,
        number=str(draft.order_id),
        status=state.status,
        currency="EUR",
        currency_symbol=wire.CURRENCY_SYMBOLS["EUR"],
        date_created=gmt(draft.created_at),
        date_created_gmt=gmt(draft.created_at),
        date_modified=gmt(modified),
        date_modified_gmt=gmt(modified),
        discount_total=wire.cents(discount),
        shipping_total=wire.cents(draft.shipping_cents),
        total=wire.cents(total),
        customer_id=draft.person.customer_id,
        billing=draft.person.billing,
        shipping=draft.person.shipping,
        payment_method=draft.payment,
        payment_method_title=_PAYMENT_TITLES[draft.payment],
        date_paid=_maybe(state.paid_at),
        date_paid_gmt=_maybe(state.paid_at),
        date_completed=_maybe(state.completed_at),
        date_completed_gmt=_maybe(state.completed_at),
        line_items=tuple(
            _line_item(line, line_id=_line_id(draft, number), subtotal=subtotal, total=total)
            for number, (line, (subtotal, total)) in enumerate(zip(state.lines, amounts, strict=True))
        ),
        shipping_lines=(
            wire.ShippingLine(
                id=_line_id(draft, _SHIPPING_NUMBER),
                method_title="Flat rate" if draft.shipping_cents else "Free shipping",
                method_id=shipping_method,
                total=wire.cents(draft.shipping_cents),
            ),
        ),
        fee_lines=(_gift_wrap(draft, line_id=_line_id(draft, _FEE_NUMBER), sign=1),) if draft.has_gift_wrap else (),
        coupon_lines=(
            (wire.CouponLine(id=_line_id(draft, _COUPON_NUMBER), code="welcome10", discount=wire.cents(discount)),)
            if draft.discount_percent
            else ()
        ),
        refunds=tuple(
            wire.OrderRefund(
                id=refund.refund_id, reason=refund.reason, total="-" + wire.cents(_refund_cents(draft, refund))
            )
            for refund in state.refunds
        ),
    )


def _maybe(instant: int | None) -> str | None:
    return None if instant is None else gmt(instant)


def _line_item(
    line: DraftLine, *, line_id: int, subtotal: int, total: int, meta_data: tuple[wire.LineMeta, ...] = ()
) -> wire.LineItem:
    return wire.LineItem(
        id=line_id,
        name=line.product.name,
        product_id=line.product.product_id,
        quantity=line.quantity,
        subtotal=wire.cents(subtotal),
        total=wire.cents(total),
        sku=line.product.sku,
        price=total / line.quantity / 100,
        meta_data=meta_data,
    )


def _gift_wrap(draft: DraftOrder, *, line_id: int, sign: int) -> wire.FeeLine:
    amount = wire.cents(sign * draft.gift_wrap_cents)
    return wire.FeeLine(id=line_id, name="Gift wrapping", total=amount, amount=amount)


def _refunded_lines(draft: DraftOrder, refund: DraftRefund) -> list[DraftLine]:
    return draft.lines if refund.is_full else draft.lines[:1]


def _refund_cents(draft: DraftOrder, refund: DraftRefund) -> int:
    lines = sum(_line_cents(draft, line)[1] for line in _refunded_lines(draft, refund))
    return lines + (draft.shipping_cents + draft.gift_wrap_cents if refund.is_full else 0)


def _refund(draft: DraftOrder, refund: DraftRefund) -> wire.Refund:
    line_items = []
    for number, line in enumerate(_refunded_lines(draft, refund)):
        subtotal, total = _line_cents(draft, line)
        given_back = replace(line, quantity=-line.quantity)
        meta_data = wire.line_meta(_refunded_item_id=str(_line_id(draft, number))) if refund.is_linked else ()
        line_id = refund.refund_id * _LINES_PER_ORDER + number
        line_items.append(
            _line_item(given_back, line_id=line_id, subtotal=-subtotal, total=-total, meta_data=meta_data)
        )
    shipping: tuple[wire.ShippingLine, ...] = ()
    fees: tuple[wire.FeeLine, ...] = ()
    if refund.is_full and draft.shipping_cents:
        shipping = (
            wire.ShippingLine(
                id=refund.refund_id * _LINES_PER_ORDER + _SHIPPING_NUMBER,
                method_title="Flat rate",
                method_id="flat_rate",
                total=wire.cents(-draft.shipping_cents),
            ),
        )
    if refund.is_full and draft.has_gift_wrap:
        fees = (_gift_wrap(draft, line_id=refund.refund_id * _LINES_PER_ORDER + _FEE_NUMBER, sign=-1),)
    customer = draft.person.customer_id
    names_customer = not refund.is_linked and customer
    return wire.Refund(
        id=refund.refund_id,
        parent_id=draft.order_id if refund.is_linked else 0,
        date_created=gmt(refund.refunded_at),
        date_created_gmt=gmt(refund.refunded_at),
        amount=wire.cents(_refund_cents(draft, refund)),
        reason=refund.reason,
        line_items=tuple(line_items),
        shipping_lines=shipping,
        fee_lines=fees,
        meta_data=(wire.Meta(id=1, key="_customer_user", value=str(customer)),) if names_customer else (),
    )
