"""The records that stand in some lines of exports: of each kind which lines make it, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.entities.window import Window
from include.sources.files.online_retail.customers import customer_versions
from include.sources.files.online_retail.fees import sku_of
from include.sources.files.online_retail.invoices import InvoiceLine, Invoices
from include.sources.files.online_retail.lines import Lines
from include.sources.files.online_retail.products import catalogue
from include.sources.files.online_retail.records import (
    customer_of,
    instant_of,
    order_line_of,
    order_of,
    product_of,
    refund_line_of,
    refund_of,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A record of a window, before its values are judged.

    :param name: what the export calls it.
    :param lines: the places of the lines that make it, among those given.
    :param read_line: makes the record of one of these lines; None where lines are no records.
    :param read: makes the record from the records of its lines.
    """

    name: dict[str, str]
    lines: list[int]
    read_line: Callable[[int], Any] | None
    read: Callable[[Sequence[Any]], Any]


def records_in(entity: str, lines: Lines, reach: Window, *, names: Mapping[str, str] | None) -> list[Found]:
    """What the lines say of an entity over a window.

    :param names: names of products for lines without a description; None for those that the lines give.
    """
    if not len(lines):
        return []
    return _FINDERS[entity](lines, reach, names)


def _customers(lines: Lines, reach: Window, names: Mapping[str, str] | None) -> list[Found]:
    """Of each customer the newest version of the window."""
    newest = {
        version.customer_id: version
        for version in customer_versions(lines)
        if reach.start <= instant_of(version.changed) < reach.end
    }
    places = _places_by(lines.customer_ids.tolist(), newest)
    return [
        Found({"CustomerID": str(key)}, places[key], None, lambda _, version=version: customer_of(version))  # type: ignore[misc]  # binds the loop's value
        for key, version in newest.items()
    ]


def _products(lines: Lines, reach: Window, names: Mapping[str, str] | None) -> list[Found]:
    """Every product first sold in the window, as all of its lines describe it."""
    entries = {
        entry.sku: entry for entry in catalogue(lines) if reach.start <= instant_of(entry.first_sold) < reach.end
    }
    of_code = [sku_of(code) for code in lines.stock_codes.values]
    places = _places_by([of_code[code] for code in lines.stock_codes.codes.tolist()], entries)
    return [
        Found({"StockCode": sku}, places[sku], None, lambda _, entry=entry: product_of(entry))  # type: ignore[misc]  # binds the loop's value
        for sku, entry in entries.items()
    ]


def _invoices(
    read: Callable[[Invoices, int, Sequence[Any]], Any],
    read_line: Callable[[InvoiceLine, int], Any],
    *,
    is_refund: bool,
) -> Callable[[Lines, Window, Mapping[str, str] | None], list[Found]]:
    def find(lines: Lines, reach: Window, names: Mapping[str, str] | None) -> list[Found]:
        invoices = Invoices(lines, names=names)

        def found(position: int) -> Found:
            record_id = int(invoices.record_ids[position])
            return Found(
                {"InvoiceNo": invoices.number(position)},
                invoices.lines_of(position).tolist(),
                lambda line: read_line(invoices.line(line), record_id),
                lambda own: read(invoices, position, own),
            )

        positions = invoices.positions(is_refund=is_refund).tolist()
        return [found(each) for each in positions if reach.start <= instant_of(invoices.instants[each]) < reach.end]

    return find


def _places_by(values: Sequence[Any], wanted: Mapping[Any, Any]) -> dict[Any, list[int]]:
    places: dict[Any, list[int]] = {key: [] for key in wanted}
    for place, value in enumerate(values):
        if value in places:
            places[value].append(place)
    return places


def unnamed_skus(lines: Lines) -> set[str]:
    """The products that a line names by their SKU alone."""
    is_bare = np.array([not text for text in lines.descriptions.values], dtype=bool)[lines.descriptions.codes]
    return {sku_of(lines.stock_codes[int(place)]) for place in np.flatnonzero(is_bare)}


_FINDERS: dict[str, Callable[[Lines, Window, Mapping[str, str] | None], list[Found]]] = {
    "customers": _customers,
    "products": _products,
    "orders": _invoices(order_of, order_line_of, is_refund=False),
    "refunds": _invoices(refund_of, refund_line_of, is_refund=True),
}
KINDS = tuple(_FINDERS)
"""The entities that an export holds."""
