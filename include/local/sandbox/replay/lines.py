"""The lines of an export as typed columns, each with an id that its own content gives it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.local.sandbox.instants import seconds_of
from include.local.sandbox.replay.dates import DateOrderUnclear, DateReader
from include.local.sandbox.replay.errors import ReplayRefused
from include.local.sandbox.replay.fees import kind_of, sku_of
from include.local.sandbox.replay.reading import COLUMNS, LINE_NUMBER, read_columns

_LETTER_STEP = 10_000_000
_MOST_DIGITS = 15


@dataclass(frozen=True)
class Column:
    """One column: its distinct values in the order of their first appearance, and each line's place among them."""

    codes: NDArray[np.int64]
    values: list[Any]

    def __getitem__(self, line: int) -> Any:
        return self.values[self.codes[line]]


@dataclass(frozen=True)
class Invoice:
    """An invoice number taken apart. Numbers beginning with C are cancellations, which become refunds."""

    number: str
    record_id: int
    is_refund: bool


@dataclass(frozen=True)
class Lines:
    """All data lines of a file in its order; quantities, prices and customers may repeat, `line_ids` tell duplicates.

    :param customers: customer ids, 0 for none.
    :param instants: seconds since 1970 in UTC.
    :param line_ids: 52 bits from a hash of the whole line: equal lines have equal ids.
    """

    invoices: Column
    stock_codes: Column
    descriptions: Column
    quantities: Column
    moments: Column
    prices: Column
    customers: Column
    countries: Column
    line_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.line_ids)

    @cached_property
    def instants(self) -> NDArray[np.int64]:
        """When each line was invoiced."""
        return np.array([seconds_of(moment) for moment in self.moments.values], dtype=np.int64)[self.moments.codes]

    @cached_property
    def customer_ids(self) -> NDArray[np.int64]:
        """Each line's customer, 0 for none."""
        return np.array(self.customers.values, dtype=np.int64)[self.customers.codes]

    @cached_property
    def is_refund(self) -> NDArray[np.bool_]:
        """Whether each line stands on a cancellation."""
        return np.array([invoice.is_refund for invoice in self.invoices.values], dtype=bool)[self.invoices.codes]

    @cached_property
    def kinds(self) -> NDArray[np.object_]:
        """Each line's kind: product, shipping or fee."""
        of_code = [kind_of(sku_of(code)) for code in self.stock_codes.values]
        return np.array(of_code, dtype=object)[self.stock_codes.codes]

    @cached_property
    def is_first(self) -> NDArray[np.bool_]:
        """Marks the first of equal lines: what is left without duplicates."""
        _, first = np.unique(self.line_ids, return_index=True)
        marks = np.zeros(len(self), dtype=bool)
        marks[first] = True
        return marks


def read_lines(path: Path) -> Lines:
    """Read and parse an Online Retail file.

    :raises ReplayRefused: the file or one of its lines cannot be read; the message names the line.
    """
    table = read_columns(path)
    numbers = table[LINE_NUMBER].to_numpy()
    texts = {name: _distinct(table[name]) for name in COLUMNS}
    try:
        dates = DateReader(texts["invoiced_at"].values)
    except DateOrderUnclear as error:
        raise ReplayRefused(f"{path} mixes orders of day and month: {error}. Write all dates as YYYY-MM-DD.") from None
    parsers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "invoice": ("an invoice number such as 536365 or C536379", _invoice),
        "stock_code": ("a stock code", _stock_code),
        "description": ("a text", str),
        "quantity": ("a whole number", _quantity),
        "invoiced_at": ("a date such as 2010-12-01 08:26:00 or 12/1/2010 8:26", dates.read),
        "price": ("a price such as 2.55", _price),
        "customer_id": ("a customer number such as 17850, or nothing", _customer),
        "country": ("a text", str),
    }
    parsed = {
        name: _parsed(texts[name], parse, name=name, expected=expected, numbers=numbers, path=path)
        for name, (expected, parse) in parsers.items()
    }
    return Lines(
        invoices=parsed["invoice"],
        stock_codes=parsed["stock_code"],
        descriptions=parsed["description"],
        quantities=parsed["quantity"],
        moments=parsed["invoiced_at"],
        prices=parsed["price"],
        customers=parsed["customer_id"],
        countries=parsed["country"],
        line_ids=_line_ids(parsed),
    )


def _distinct(column: pa.ChunkedArray) -> Column:
    encoded = column.combine_chunks().dictionary_encode()
    return Column(codes=encoded.indices.to_numpy().astype(np.int64), values=encoded.dictionary.to_pylist())


def _parsed(
    texts: Column, parse: Callable[[str], Any], *, name: str, expected: str, numbers: NDArray[np.int64], path: Path
) -> Column:
    values = []
    for code, text in enumerate(texts.values):
        try:
            values.append(parse(text))
        except (ValueError, InvalidOperation, OverflowError):
            line = numbers[np.argmax(texts.codes == code)]
            raise ReplayRefused(
                f"{path} line {line}: {name} is {text!r}, which is not {expected}. "
                "No line is left out silently: correct or remove it and start again."
            ) from None
    return Column(codes=texts.codes, values=values)


def _invoice(text: str) -> Invoice:
    match = re.fullmatch(r"([A-Za-z]?)(\d+)", text.strip())
    if match is None or len(match[2]) > _MOST_DIGITS:
        raise ValueError(text)
    letter, digits = match[1].upper(), int(match[2])
    is_refund = letter == "C"
    has_own_range = letter and not is_refund
    record_id = ord(letter) * _LETTER_STEP + digits if has_own_range else digits
    return Invoice(number=text.strip(), record_id=record_id, is_refund=is_refund)


def _stock_code(text: str) -> str:
    if not text.strip():
        raise ValueError(text)
    return text


def _quantity(text: str) -> int:
    match = re.fullmatch(r"([+-]?\d{1,18})(?:\.0+)?", text.strip())
    if match is None:
        raise ValueError(text)
    return int(match[1])


def _price(text: str) -> Decimal:
    value = Decimal(text.strip())
    if not value.is_finite() or len(value.as_tuple().digits) > _MOST_DIGITS or abs(value.adjusted()) > _MOST_DIGITS:
        raise ValueError(text)
    return value


def _customer(text: str) -> int:
    if not text.strip():
        return 0
    match = re.fullmatch(r"(\d{1,15})(?:\.0+)?", text.strip())
    if match is None:
        raise ValueError(text)
    return int(match[1])


def _line_ids(columns: dict[str, Column]) -> NDArray[np.int64]:
    """52 bits of a hash over what the eight cells mean: `17850` and `17850.0` are the same customer."""
    combined = np.zeros(len(columns["invoice"].codes), dtype=np.uint64)
    for name in COLUMNS:
        column = columns[name]
        hashes = np.array([stable_hash(f"{name}={_canonical(value)}") for value in column.values], dtype=np.uint64)
        combined = _mixed(combined ^ hashes[column.codes])
    return (combined >> np.uint64(12)).astype(np.int64)


def _canonical(value: Any) -> str:
    if isinstance(value, Invoice):
        return value.number
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return str(value)


def stable_hash(text: str) -> int:
    """64 bits that belong to the text, in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finalizer of splitmix64: every bit of a value reaches every bit of the result."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
