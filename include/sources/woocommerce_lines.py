"""The lines of WooCommerce orders and refunds: products, shipping and fees."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from include.sources.parsing import Id, RowRejected, decode, decode_row, required_in

Quantity = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31)]


class WireProductLine(msgspec.Struct, gc=False):
    """An entry of `line_items`."""

    id: Id
    name: str | None
    quantity: Quantity
    total: str
    product_id: Id = 0
    sku: str | None = None
    price: Decimal | None = None


class WireShippingLine(msgspec.Struct, gc=False):
    """An entry of `shipping_lines`."""

    id: Id
    total: str
    method_title: str | None = None


class WireFeeLine(msgspec.Struct, gc=False):
    """An entry of `fee_lines`."""

    id: Id
    total: str
    name: str | None = None


class RawLines(msgspec.Struct):
    """The lines of an order or refund, unread."""

    line_items: list[msgspec.Raw] = []
    shipping_lines: list[msgspec.Raw] = []
    fee_lines: list[msgspec.Raw] = []


_RAW_LINES = msgspec.json.Decoder(RawLines)
_DECODERS: dict[str, msgspec.json.Decoder] = {
    "product": msgspec.json.Decoder(WireProductLine),
    "shipping": msgspec.json.Decoder(WireShippingLine),
    "fee": msgspec.json.Decoder(WireFeeLine),
}

Kind = Literal["product", "shipping", "fee"]
WireLine = WireProductLine | WireShippingLine | WireFeeLine


def split_lines(row: bytes) -> list[tuple[Kind, bytes]]:
    """The raw lines of one raw order or refund with their kinds: products, then shipping, then fees.

    :raises RowRejected: the lists of lines are not lists.
    """
    try:
        raw = decode(row, _RAW_LINES)
    except ValueError as error:
        raise RowRejected("shape", str(error)) from error
    groups: Sequence[tuple[Kind, list[msgspec.Raw]]] = (
        ("product", raw.line_items),
        ("shipping", raw.shipping_lines),
        ("fee", raw.fee_lines),
    )
    return [(kind, bytes(line)) for kind, lines in groups for line in lines]


def required_of_lines() -> frozenset[str]:
    """Paths of the fields without which a line cannot be read."""
    lists = zip(("line_items", "shipping_lines", "fee_lines"), _DECODERS.values(), strict=True)
    return frozenset().union(*(required_in(decoder, within=f"{name}[].") for name, decoder in lists))


def decode_line(raw: bytes, kind: Kind) -> WireLine:
    """One typed line.

    :raises RowRejected: it does not fit.
    """
    return decode_row(raw, _DECODERS[kind])
