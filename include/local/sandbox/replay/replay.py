"""An Online Retail file served as the shop it came from.

What becomes of the file, in the rules that anyone can count by:

* An invoice is an order. Its id is the number's digits; with a leading letter other than C (`A563185`, bad debt)
  the letter's code times 10,000,000 is added. `number` is the invoice number as it stands in the file.
* An invoice beginning with C is a refund with the number's digits as id. The file does not say what was cancelled,
  so `parent_id` is 0 and the customer stands in `meta_data` under `_customer_user`.
* InvoiceDate names no zone and is read as UTC. An order's date is that of its earliest line; it is completed and
  paid at that instant and never changes.
* A line without CustomerID belongs to a guest: `customer_id` 0. An invoice's customer is the first one it names.
* Every line goes over the wire. Its id is a hash of its eight cells: lines equal in all of them (exact duplicates)
  have the same id, lines that differ in anything do not. Totals count equal lines once.
* Amounts are exact: the sum of Quantity x UnitPrice. A refund's amount is minus that sum.
* Postage, carriage, manual entries, discounts, charges, commissions, samples, bad debt, tests and adjustments are no
  products (`include/sources/files/online_retail/fees.py`). WooCommerce's shipping and fee lines have neither quantity
  nor price: those stand in the line's `meta_data` as `sku`, `quantity` and `unit_price`.
* Negative quantities on orders (stock corrections) and prices of zero or less are sent as they are.
* A StockCode in upper case is a product: id 51 bits of its hash, name its most frequent description (of equally
  frequent ones the first in the alphabet), price its latest positive one, created and modified at its first sale.
* A customer registers with the first line, lives in the country of the latest one and changes with the country.
* There are no events. Weather and stock prices are made up over the file's dates.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.local.sandbox import wire
from include.local.sandbox.instants import DAY, floor_to_day, gmt
from include.local.sandbox.replay.people import customers_collection
from include.local.sandbox.replay.products import products_collection
from include.local.sandbox.shop import Collection, EventStream, Shop
from include.sources.files.online_retail.customers import email_of
from include.sources.files.online_retail.invoices import CURRENCY, InvoiceLine, Invoices
from include.sources.files.online_retail.lines import read_lines
from include.sources.files.online_retail.products import product_id


def replay_shop(path: Path) -> Shop:
    """The shop that the file comes from.

    :raises ExportRefused: the file cannot be read as an Online Retail export.
    """
    lines = read_lines(path)
    invoices = Invoices(lines)
    orders = _collection(invoices, is_refund=False)
    refunds = _collection(invoices, is_refund=True)
    customers = customers_collection(lines)
    products = products_collection(lines)
    return Shop(
        kind="replay",
        currency=CURRENCY,
        start=floor_to_day(int(lines.instants.min())),
        end=floor_to_day(int(lines.instants.max())) + DAY,
        orders=orders,
        refunds=refunds,
        customers=customers,
        products=products,
        events=EventStream(received=[], message_ids=[], lines=[]),
        counts={
            "lines": len(lines),
            "distinct_lines": int(lines.is_first.sum()),
            "duplicate_lines": int((~lines.is_first).sum()),
            "orders": len(orders),
            "guest_orders": invoices.guest_orders(),
            "refunds": len(refunds),
            "customers": len(customers),
            "products": len(products),
            "order_lines": int((~lines.is_refund).sum()),
            "refund_lines": int(lines.is_refund.sum()),
            **{f"{kind}_lines": int((lines.kinds == kind).sum()) for kind in ("product", "shipping", "fee")},
            "events": 0,
        },
    )


def _collection(invoices: Invoices, *, is_refund: bool) -> Collection:
    """All orders, or all refunds; what goes on the wire is built when it is asked for."""
    chosen = invoices.positions(is_refund=is_refund)
    return Collection(
        keys=invoices.record_ids[chosen],
        created=invoices.instants[chosen],
        modified=invoices.instants[chosen],
        items=_Refunds(invoices, chosen) if is_refund else _Orders(invoices, chosen),
        statuses=None if is_refund else ["completed"] * len(chosen),
    )


@lru_cache(maxsize=1 << 16)
def _money(amount: Decimal) -> str:
    return wire.money(amount)


def _wire_lines(
    invoices: Invoices, position: int
) -> tuple[tuple[wire.LineItem, ...], tuple[wire.ShippingLine, ...], tuple[wire.FeeLine, ...]]:
    """The lines as WooCommerce parts them: products, shipping, fees."""
    products: list[wire.LineItem] = []
    shipping: list[wire.ShippingLine] = []
    fees: list[wire.FeeLine] = []
    for place in map(int, invoices.lines_of(position)):
        line = invoices.line(place)
        if line.kind == "product":
            products.append(_line_item(line))
        elif line.kind == "shipping":
            shipping.append(
                wire.ShippingLine(
                    id=line.line_id,
                    method_title=line.name,
                    method_id=wire.slug(line.sku),
                    total=_money(line.total),
                    meta_data=_meta_data(line),
                )
            )
        else:
            total = _money(line.total)
            fees.append(
                wire.FeeLine(id=line.line_id, name=line.name, total=total, amount=total, meta_data=_meta_data(line))
            )
    return tuple(products), tuple(shipping), tuple(fees)


def _line_item(line: InvoiceLine) -> wire.LineItem:
    total = _money(line.total)
    return wire.LineItem(
        id=line.line_id,
        name=line.name,
        product_id=product_id(line.sku),
        quantity=line.quantity,
        subtotal=total,
        total=total,
        sku=line.sku,
        price=float(line.price),
    )


def _meta_data(line: InvoiceLine) -> tuple[wire.LineMeta, ...]:
    return wire.line_meta(sku=line.sku, quantity=str(line.quantity), unit_price=wire.money(line.price))


class _Orders(Sequence[wire.Order]):
    def __init__(self, invoices: Invoices, positions: NDArray[np.int64]) -> None:
        self._invoices = invoices
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, number: Any) -> Any:
        invoices, position = self._invoices, int(self._positions[number])
        customer, instant = invoices.customer(position), gmt(int(invoices.instants[position]))
        products, shipping, fees = _wire_lines(invoices, position)
        country = invoices.country(position)
        return wire.Order(
            id=int(invoices.record_ids[position]),
            number=invoices.number(position),
            status="completed",
            currency=CURRENCY,
            currency_symbol=wire.CURRENCY_SYMBOLS[CURRENCY],
            date_created=instant,
            date_created_gmt=instant,
            date_modified=instant,
            date_modified_gmt=instant,
            discount_total="0.00",
            shipping_total=wire.money(invoices.total(position, kind="shipping")),
            total=wire.money(invoices.total(position)),
            customer_id=customer,
            billing=wire.Billing(country=country, email=email_of(customer) if customer else ""),
            shipping=wire.Address(country=country),
            payment_method="bacs",
            payment_method_title="Direct bank transfer",
            date_paid=instant,
            date_paid_gmt=instant,
            date_completed=instant,
            date_completed_gmt=instant,
            line_items=products,
            shipping_lines=shipping,
            fee_lines=fees,
        )


class _Refunds(Sequence[wire.Refund]):
    def __init__(self, invoices: Invoices, positions: NDArray[np.int64]) -> None:
        self._invoices = invoices
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, number: Any) -> Any:
        invoices, position = self._invoices, int(self._positions[number])
        customer, instant = invoices.customer(position), gmt(int(invoices.instants[position]))
        products, shipping, fees = _wire_lines(invoices, position)
        return wire.Refund(
            id=int(invoices.record_ids[position]),
            parent_id=0,
            date_created=instant,
            date_created_gmt=instant,
            amount=wire.money(-invoices.total(position)),
            reason="",
            line_items=products,
            shipping_lines=shipping,
            fee_lines=fees,
            meta_data=(wire.Meta(id=1, key="_customer_user", value=str(customer)),) if customer else (),
        )
