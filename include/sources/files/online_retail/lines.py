"""The lines of an export as typed columns, each with an id that its own content gives it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.sources.files.online_retail.dates import DateOrderUnclear, DateReader
from include.sources.files.online_retail.errors import ExportRefused
from include.sources.files.online_retail.fees import kind_of, sku_of
from include.sources.files.online_retail.reading import COLUMNS, LINE_NUMBER, read_columns

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
        return np.array([int(moment.timestamp() // 1) for moment in self.moments.values], dtype=np.int64)[
            self.moments.codes
        ]

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


@dataclass(frozen=True, slots=True)
class BrokenCell:
    """A cell that cannot be what its column says; its line is none of the `Lines`.

    :param place: the line's place among the lines given, from 0.
    """

    place: int
    column: str
    text: str
    expected: str

    def __str__(self) -> str:
        return f"{self.column} is {self.text!r}, which is not {self.expected}"


@dataclass(frozen=True, slots=True)
class Typed:
    """What became of lines of text: those that can be read, where each stood, and the first fault of each other."""

    lines: Lines
    places: NDArray[np.int64]
    broken: list[BrokenCell]


def read_lines(path: Path) -> Lines:
    """Read and parse an Online Retail file.

    :raises ExportRefused: the file or one of its lines cannot be read; the message names the line.
    """
    table = read_columns(path)
    numbers = table[LINE_NUMBER].to_numpy()
    texts = {name: _distinct(table[name]) for name in COLUMNS}
    try:
        dates = DateReader(texts["invoiced_at"].values)
    except DateOrderUnclear as error:
        raise ExportRefused(f"{path} mixes orders of day and month: {error}. Write all dates as YYYY-MM-DD.") from None
    typed = typed_lines(texts, dates)
    for cell in typed.broken[:1]:
        raise ExportRefused(
            f"{path} line {numbers[cell.place]}: {cell}. "
            "No line is left out silently: correct or remove it and start again."
        )
    return typed.lines


def typed_lines(texts: Mapping[str, Column], dates: DateReader) -> Typed:
    """Parse the columns of one file.

    :param texts: by the names of `COLUMNS`, cells as text.
    """
    count = len(texts["invoice"].codes)
    parsed: dict[str, Column] = {}
    first_fault: dict[int, BrokenCell] = {}
    for name, (expected, parse) in _parsers(dates).items():
        parsed[name], faults = _parsed(texts[name], parse)
        for code in faults:
            for place in np.flatnonzero(texts[name].codes == code).tolist():
                first_fault.setdefault(place, BrokenCell(place, name, texts[name].values[code], expected))
    places = np.delete(np.arange(count), sorted(first_fault))
    sound = {name: Column(column.codes[places], column.values) for name, column in parsed.items()}
    lines = Lines(
        invoices=sound["invoice"],
        stock_codes=sound["stock_code"],
        descriptions=sound["description"],
        quantities=sound["quantity"],
        moments=sound["invoiced_at"],
        prices=sound["price"],
        customers=sound["customer_id"],
        countries=sound["country"],
        line_ids=_line_ids(sound),
    )
    return Typed(lines, places, [first_fault[place] for place in sorted(first_fault)])


def joined(parts: Sequence[Lines]) -> Lines:
    """The lines of several files as those of one, in the order given."""
    if len(parts) == 1:
        return parts[0]
    names = [field.name for field in fields(Lines) if field.name != "line_ids"]
    columns = {name: _joined([getattr(part, name) for part in parts]) for name in names}
    return Lines(**columns, line_ids=np.concatenate([part.line_ids for part in parts]))


def _joined(columns: Sequence[Column]) -> Column:
    places: dict[Any, int] = {}
    codes = []
    for column in columns:
        mapping = np.array([places.setdefault(value, len(places)) for value in column.values], dtype=np.int64)
        codes.append(mapping[column.codes] if len(mapping) else column.codes)
    return Column(np.concatenate(codes), list(places))


def _distinct(column: pa.ChunkedArray) -> Column:
    encoded = column.combine_chunks().dictionary_encode()
    return Column(codes=encoded.indices.to_numpy().astype(np.int64), values=encoded.dictionary.to_pylist())


def _parsers(dates: DateReader) -> dict[str, tuple[str, Callable[[str], Any]]]:
    return {
        "invoice": ("an invoice number such as 536365 or C536379", _invoice),
        "stock_code": ("a stock code", _stock_code),
        "description": ("a text", _text),
        "quantity": ("a whole number", _quantity),
        "invoiced_at": ("a date such as 2010-12-01 08:26:00 or 12/1/2010 8:26", dates.read),
        "price": ("a price such as 2.55", _price),
        "customer_id": ("a customer number such as 17850, or nothing", _customer),
        "country": ("a text", _text),
    }


def _parsed(texts: Column, parse: Callable[[str], Any]) -> tuple[Column, list[int]]:
    """The parsed column, whose codes are -1 where there is no value, and the codes of the texts that are none."""
    values: list[Any] = []
    faults: list[int] = []
    mapping = np.full(len(texts.values), -1, dtype=np.int64)
    for code, text in enumerate(texts.values):
        try:
            value = parse(text)
        except (ValueError, InvalidOperation, OverflowError):
            faults.append(code)
            continue
        mapping[code] = len(values)
        values.append(value)
    return Column(codes=mapping[texts.codes] if len(mapping) else texts.codes, values=values), faults


def _text(text: str) -> str:
    if "\x00" in text:
        raise ValueError(text)
    return text


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
    return _text(text)


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
