"""The lines of an export by invoice: an invoice is an order, a cancellation a refund."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from include.sources.files.online_retail.fees import Kind, sku_of
from include.sources.files.online_retail.lines import Lines
from include.sources.files.online_retail.products import product_names

CURRENCY = "GBP"


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line of an invoice, with the signs of the file: on a cancellation quantity and total are negative.

    :param name: its description, else the product's name, else the SKU.
    :param total: quantity times price, exactly.
    """

    line_id: int
    kind: Kind
    sku: str
    name: str
    quantity: int
    price: Decimal
    total: Decimal


class Invoices:
    """Orders and refunds by position; a position stands for one of them, in the order of their ids.

    :param names: the name of each SKU that lines without a description fall back to; by default those that
        `lines` themselves give.
    """

    def __init__(self, lines: Lines, *, names: Mapping[str, str] | None = None) -> None:
        self.lines = lines
        self.names = product_names(lines) if names is None else names
        ids = np.array([invoice.record_id for invoice in lines.invoices.values], dtype=np.int64)[lines.invoices.codes]
        keys = ids * 2 + lines.is_refund
        self._by_invoice = np.argsort(keys, kind="stable")
        self._keys, starts = np.unique(keys[self._by_invoice], return_index=True)
        self._bounds = np.append(starts, len(lines))
        self.instants = np.minimum.reduceat(lines.instants[self._by_invoice], starts)
        self._customers = np.maximum.reduceat(lines.customer_ids[self._by_invoice], starts)

    def positions(self, *, is_refund: bool) -> NDArray[np.int64]:
        """All orders, or all refunds."""
        return np.flatnonzero(self._keys % 2 == int(is_refund))

    @property
    def record_ids(self) -> NDArray[np.int64]:
        """Of each position the order's or refund's id."""
        return self._keys // 2

    def guest_orders(self) -> int:
        """Number of orders without a customer."""
        return int(((self._keys % 2 == 0) & (self._customers == 0)).sum())

    def lines_of(self, position: int) -> NDArray[np.int64]:
        """Its lines, in the file's order."""
        return self._by_invoice[self._bounds[position] : self._bounds[position + 1]]

    def number(self, position: int) -> str:
        """The invoice number as it stands in the file."""
        number: str = self.lines.invoices[int(self.lines_of(position)[0])].number
        return number

    def country(self, position: int) -> str:
        """The country of its first line."""
        country: str = self.lines.countries[int(self.lines_of(position)[0])]
        return country

    def customer(self, position: int) -> int:
        """Its customer: the first that one of its lines names, 0 if none does."""
        customers = self.lines.customer_ids[self.lines_of(position)]
        named = customers[customers != 0]
        return int(named[0]) if len(named) else 0

    def total(self, position: int, *, kind: Kind | None = None) -> Decimal:
        """The exact sum of its lines, or of those of one kind; equal ones counted once."""
        lines = self.lines_of(position)
        chosen = lines[self.lines.is_first[lines] & ((kind is None) | (self.lines.kinds[lines] == kind))]
        return sum((self._line_total(int(line)) for line in chosen), Decimal(0))

    def line(self, line: int) -> InvoiceLine:
        """One line by its place in the file."""
        data = self.lines
        sku = sku_of(data.stock_codes[line])
        return InvoiceLine(
            line_id=int(data.line_ids[line]),
            kind=data.kinds[line],
            sku=sku,
            name=data.descriptions[line] or self.names.get(sku) or sku,
            quantity=data.quantities[line],
            price=data.prices[line],
            total=self._line_total(line),
        )

    def _line_total(self, line: int) -> Decimal:
        total: Decimal = self.lines.quantities[line] * self.lines.prices[line]
        return total + 0  # a zero without a sign: -11 pieces at 0.0 are worth as much as 11
