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
  products (`fees.py`). WooCommerce's shipping and fee lines have neither quantity nor price: those stand in the
  line's `meta_data` as `sku`, `quantity` and `unit_price`.
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
from include.local.sandbox.replay.fees import sku_of
from include.local.sandbox.replay.lines import Lines, read_lines
from include.local.sandbox.replay.people import customers_collection
from include.local.sandbox.replay.products import product_id, product_names, products_collection
from include.local.sandbox.shop import Collection, EventStream, Shop

_CURRENCY = "GBP"


def replay_shop(path: Path) -> Shop:
    """The shop that the file comes from.

    :raises ReplayRefused: the file cannot be read as an Online Retail export.
    """
    lines = read_lines(path)
    invoices = _Invoices(lines)
    orders = invoices.collection(is_refund=False)
    refunds = invoices.collection(is_refund=True)
    customers = customers_collection(lines)
    products = products_collection(lines)
    return Shop(
        kind="replay",
        currency=_CURRENCY,
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


@lru_cache(maxsize=1 << 16)
def _line_total(quantity: int, price: Decimal) -> str:
    return wire.money(quantity * price)


class _Invoices:
    """The file's lines by invoice; what goes on the wire is built when it is asked for."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.names = product_names(lines)
        ids = np.array([invoice.record_id for invoice in lines.invoices.values], dtype=np.int64)[lines.invoices.codes]
        keys = ids * 2 + lines.is_refund
        self._by_invoice = np.argsort(keys, kind="stable")
        self._keys, starts = np.unique(keys[self._by_invoice], return_index=True)
        self._bounds = np.append(starts, len(lines))
        self._instants = np.minimum.reduceat(lines.instants[self._by_invoice], starts)
        self._customers = np.maximum.reduceat(lines.customer_ids[self._by_invoice], starts)

    def collection(self, *, is_refund: bool) -> Collection:
        """All orders, or all refunds."""
        chosen = np.flatnonzero(self._keys % 2 == int(is_refund))
        return Collection(
            keys=self._keys[chosen] // 2,
            created=self._instants[chosen],
            modified=self._instants[chosen],
            items=_Refunds(self, chosen) if is_refund else _Orders(self, chosen),
            statuses=None if is_refund else ["completed"] * len(chosen),
        )

    def guest_orders(self) -> int:
        """Number of orders without a customer."""
        return int(((self._keys % 2 == 0) & (self._customers == 0)).sum())

    def record_id(self, position: int) -> int:
        """The order's or refund's id."""
        return int(self._keys[position]) // 2

    def instant(self, position: int) -> str:
        """When it was made."""
        return gmt(int(self._instants[position]))

    def lines_of(self, position: int) -> NDArray[np.int64]:
        """Its lines, in the file's order."""
        return self._by_invoice[self._bounds[position] : self._bounds[position + 1]]

    def customer(self, position: int) -> int:
        """Its customer: the first that one of its lines names, 0 if none does."""
        customers = self.lines.customer_ids[self.lines_of(position)]
        named = customers[customers != 0]
        return int(named[0]) if len(named) else 0

    def total(self, lines: NDArray[np.int64]) -> Decimal:
        """The exact sum of the lines, equal ones counted once."""
        return sum((self.line_total(int(line)) for line in lines if self.lines.is_first[line]), Decimal(0))

    def line_total(self, line: int) -> Decimal:
        """Quantity times price."""
        total: Decimal = self.lines.quantities[line] * self.lines.prices[line]
        return total

    def wire_lines(
        self, lines: NDArray[np.int64]
    ) -> tuple[tuple[wire.LineItem, ...], tuple[wire.ShippingLine, ...], tuple[wire.FeeLine, ...]]:
        """The lines as WooCommerce parts them: products, shipping, fees."""
        products: list[wire.LineItem] = []
        shipping: list[wire.ShippingLine] = []
        fees: list[wire.FeeLine] = []
        data = self.lines
        for line in map(int, lines):
            kind, line_id = data.kinds[line], int(data.line_ids[line])
            sku, quantity, price = sku_of(data.stock_codes[line]), data.quantities[line], data.prices[line]
            name = data.descriptions[line] or self.names.get(sku) or sku
            total = _line_total(quantity, price)
            if kind == "product":
                products.append(
                    wire.LineItem(
                        id=line_id,
                        name=name,
                        product_id=product_id(sku),
                        quantity=quantity,
                        subtotal=total,
                        total=total,
                        sku=sku,
                        price=float(price),
                    )
                )
                continue
            meta_data = wire.line_meta(sku=sku, quantity=str(quantity), unit_price=wire.money(price))
            if kind == "shipping":
                shipping.append(
                    wire.ShippingLine(
                        id=line_id, method_title=name, method_id=wire.slug(sku), total=total, meta_data=meta_data
                    )
                )
            else:
                fees.append(wire.FeeLine(id=line_id, name=name, total=total, amount=total, meta_data=meta_data))
        return tuple(products), tuple(shipping), tuple(fees)


class _Orders(Sequence[wire.Order]):
    def __init__(self, invoices: _Invoices, positions: NDArray[np.int64]) -> None:
        self._invoices = invoices
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, number: Any) -> Any:
        invoices, position = self._invoices, int(self._positions[number])
        lines = invoices.lines_of(position)
        customer, instant = invoices.customer(position), invoices.instant(position)
        products, shipping, fees = invoices.wire_lines(lines)
        is_shipping = invoices.lines.kinds[lines] == "shipping"
        country = invoices.lines.countries[int(lines[0])]
        return wire.Order(
            id=invoices.record_id(position),
            number=invoices.lines.invoices[int(lines[0])].number,
            status="completed",
            currency=_CURRENCY,
            currency_symbol=wire.CURRENCY_SYMBOLS[_CURRENCY],
            date_created=instant,
            date_created_gmt=instant,
            date_modified=instant,
            date_modified_gmt=instant,
            discount_total="0.00",
            shipping_total=wire.money(invoices.total(lines[is_shipping])),
            total=wire.money(invoices.total(lines)),
            customer_id=customer,
            billing=wire.Billing(country=country, email=f"customer-{customer}@example.com" if customer else ""),
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
    def __init__(self, invoices: _Invoices, positions: NDArray[np.int64]) -> None:
        self._invoices = invoices
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, number: Any) -> Any:
        invoices, position = self._invoices, int(self._positions[number])
        lines = invoices.lines_of(position)
        customer, instant = invoices.customer(position), invoices.instant(position)
        products, shipping, fees = invoices.wire_lines(lines)
        return wire.Refund(
            id=invoices.record_id(position),
            parent_id=0,
            date_created=instant,
            date_created_gmt=instant,
            amount=wire.money(-invoices.total(lines)),
            reason="",
            line_items=products,
            shipping_lines=shipping,
            fee_lines=fees,
            meta_data=(wire.Meta(id=1, key="_customer_user", value=str(customer)),) if customer else (),
        )
