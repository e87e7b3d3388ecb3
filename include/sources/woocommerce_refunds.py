"""Refunds with their lines, from WooCommerce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from include.entities.refunds import REFUNDS, Refund, RefundLine
from include.sources.columns import (
    DoesNotFit,
    Fields,
    amounts,
    derived,
    required_instants,
    text_or_none,
    whole,
    whole_or_none,
)
from include.sources.http import Answer, HttpClient
from include.sources.parsing import DEEPEST, Id, depth, has_nul, id_of, money, required_utc, value_of
from include.sources.source import Page
from include.sources.woocommerce_columns import Arrays, Lines, ParentColumns, product_columns, unit_columns
from include.sources.woocommerce_lines import (
    Kind,
    WireLine,
    WireProductLine,
    WireShippingLine,
)
from include.sources.woocommerce_old_refunds import made_before, read_refunds, read_those_of, which_are_old
from include.sources.woocommerce_parents import ParentReader, WooCommerceParents

CUSTOMER_KEY = "_customer_user"
"""Where WooCommerce keeps the customer of an order-like post; the only trace of them on a refund without order."""


class WireRefund(msgspec.Struct, gc=False):
    """The fields of a refund that are used."""

    id: Id
    amount: str
    date_created_gmt: datetime | None
    parent_id: Id = 0
    reason: str | None = None
    meta_data: list[dict[str, Any]] = []


def to_refund(wire: Any, lines: Sequence[RefundLine], page: Page) -> Refund:
    """A refund from its wire form. It never changes, so its creation is its version."""
    refunded_at = required_utc(wire.date_created_gmt, "date_created_gmt")
    return Refund(
        refund_id=wire.id,
        order_id=wire.parent_id or None,
        customer_id=_customer(wire.meta_data),
        refund_amount=money(wire.amount),
        currency=page.context["currency"],
        reason=wire.reason or None,
        refunded_at=refunded_at,
        source_updated_at=refunded_at,
        lines=tuple(lines),
    )


def to_refund_line(wire: WireLine, kind: Kind, refund: Any) -> RefundLine:
    """A line of a refund from its wire form, where quantities and totals are negative."""
    total = -money(wire.total)
    if isinstance(wire, WireProductLine):
        return RefundLine(
            refund_id=refund.id,
            line_id=wire.id,
            kind="product",
            product_id=wire.product_id or None,
            sku=wire.sku or None,
            name=wire.name or "",
            quantity=-wire.quantity,
            total_amount=total,
        )
    name = wire.method_title if isinstance(wire, WireShippingLine) else wire.name
    return RefundLine(
        refund_id=refund.id,
        line_id=wire.id,
        kind=kind,
        product_id=None,
        sku=None,
        name=name or "",
        quantity=1,
        total_amount=total,
    )


def _customer(meta_data: Sequence[dict[str, Any]]) -> int | None:
    return id_of(value_of(meta_data, CUSTOMER_KEY), f"meta_data {CUSTOMER_KEY}") or None


def refund_columns(refunds: Fields, pages: Sequence[Page]) -> Arrays:
    """What `to_refund` does, for many refunds at once."""
    if any(depth(each) >= DEEPEST for each in refunds["meta_data"]):
        raise DoesNotFit("a refund's meta_data is nested deeply")
    if has_nul(msgspec.json.encode(refunds["meta_data"])):
        raise DoesNotFit("a refund's meta_data holds a NUL character")
    refunded_at = required_instants(refunds["date_created_gmt"])
    return {
        "refund_id": whole(refunds["id"]),
        "order_id": whole_or_none(refunds["parent_id"]),
        "customer_id": pa.array(map(_customer, refunds["meta_data"]), pa.int64()),
        "refund_amount": amounts(refunds["amount"]),
        "currency": pa.array([page.context["currency"] for page in pages], pa.string()),
        "reason": text_or_none(refunds["reason"]),
        "refunded_at": refunded_at,
        "source_updated_at": refunded_at,
    }


def refund_line_columns(lines: Lines, kind: str) -> Arrays:
    """What `to_refund_line` does, for many lines of one kind at once."""
    total = pc.negate(amounts(lines["total"]))
    if kind != "product":
        return {**unit_columns(lines, kind), "total_amount": total}
    derived(lines["price"])  # not kept, but a line does not fit if its price does not
    columns = product_columns(lines)
    return {**columns, "quantity": pc.negate(columns["quantity"]), "total_amount": total}


class WooCommerceRefunds(WooCommerceParents):
    """`/refunds`, by modification time; amounts are in the shop's currency."""

    entity = REFUNDS
    resource = "refunds"
    needs_currency = True
    reader = ParentReader(
        entity=REFUNDS, row_decoder=msgspec.json.Decoder(WireRefund), to_record=to_refund, to_line=to_refund_line
    )
    whole_pages = ParentColumns(
        entity=REFUNDS,
        wire=WireRefund,
        to_rows=refund_columns,
        to_lines=refund_line_columns,
    )

    async def _page(self, http: HttpClient, params: Mapping[str, str], offset: int) -> Answer:
        """A page, once the shop stands by those of its refunds that were made before the window."""
        after, old = params["modified_after"], set[int]()
        check = partial(read_refunds, before=params["modified_before"], old=old)
        while True:
            answer = await self._list(http, {**params, "offset": str(offset)}, check=check)
            doubtful = made_before(answer.body, after)
            if not doubtful:
                return answer
            asked = which_are_old(doubtful, after=after)
            told = await self._list(http, asked, check=partial(read_those_of, keys=doubtful))
            if not told.content:
                return answer
            old.update(key for key, _ in told.content)
