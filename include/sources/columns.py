"""Whole pages straight to columns, without an object per record.

This is the fast way and takes in less than the way row by row: whatever it does not know raises, and the rows are then
read one by one. What it takes in comes out as the same bytes.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.entities.entity import INSTANT, MONEY, Entity
from include.sources.source import Page

_FIRST_INSTANT = pa.scalar(datetime.min.replace(tzinfo=UTC), INSTANT)
_LAST_INSTANT = pa.scalar(datetime.max.replace(tzinfo=UTC), INSTANT)
_DERIVED = pa.decimal128(38, 20)
"""Prices per unit as they come, before they are rounded."""
_PLAIN = r"^[+-]?[0-9]{1,17}(\.[0-9]{1,20})?$"
_SHORT = 18
"""Digits that leave room for the 20 decimals of `_DERIVED`."""
_NAIVE = pa.timestamp(INSTANT.unit)
_NAIVE_LENGTH = len("2024-01-31T08:00:00")
_CHEAPER = {datetime | None: str | None, Decimal | None: msgspec.Raw}
"""Types for which an object per value costs more than to convert all values at once."""


class DoesNotFit(ValueError):
    """Something on the pages cannot be read whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The records of some pages.

    :param rows: the entity's columns and `source_updated_at`, one row per record.
    :param pages: for each row the number of its page among those read; `positions`: its number in that page.
    :param lines: as `rows`, of the child; None for an entity without lines.
    :param owners: for each line the row that it belongs to, ascending.
    :param line_positions: for each line its number among the raw lines of its row.
    """

    rows: pa.Table
    pages: np.ndarray
    positions: np.ndarray
    lines: pa.Table | None = None
    owners: np.ndarray
    line_positions: np.ndarray


@runtime_checkable
class ReadsColumns(Protocol):
    """A source that can read whole pages straight to columns."""

    def columns(self, pages: Sequence[Page]) -> Columns:
        """All records of the pages.

        :raises ValueError: something on them does not fit; it has to be found row by row.
        """
        ...


def in_columns(wire: type[msgspec.Struct], **lists: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """A typed row whose fields are to become columns: times stay text, prices per unit stay as they were written.

    Each of those has to be converted, also where it is not kept: until then nobody knows whether it fits.

    :param wire: the row as it is read by itself.
    :param lists: further fields, by name: lists of such rows.
    """
    fields: list[Any] = []
    for each in msgspec.structs.fields(wire):
        kind = _CHEAPER.get(each.type, each.type)
        default = each.default
        if each.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=each.default_factory)
        elif kind is msgspec.Raw:
            default = msgspec.Raw(msgspec.json.encode(default))
        fields.append((each.name, kind) if each.required else (each.name, kind, default))
    fields += [(name, list[inner], msgspec.field(default_factory=list)) for name, inner in lists.items()]  # type: ignore[valid-type]  # made at run time
    return msgspec.defstruct(f"{wire.__name__}InColumns", fields, gc=False)


class Fields:
    """Fields of typed rows, gathered page by page: one list of values per field."""

    def __init__(self, row: type[msgspec.Struct]) -> None:
        self._values: dict[str, list[Any]] = {name: [] for name in row.__struct_fields__}

    def extend(self, rows: Sequence[Any]) -> None:
        """Gather some rows."""
        by_field = zip(*map(msgspec.structs.astuple, rows), strict=True)
        for gathered, values in zip(self._values.values(), by_field, strict=bool(rows)):
            gathered.extend(values)

    def __getitem__(self, name: str) -> list[Any]:
        return self._values[name]


@contextmanager
def no_collection() -> Iterator[None]:
    """Without the cyclic garbage collector, for a block that makes many objects and no cycle.

    It would look through everything that the process holds, again and again, and find nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def table_of(entity: Entity, arrays: Mapping[str, pa.Array]) -> pa.Table:
    """Arrays as a table of the entity's columns and `source_updated_at`.

    :raises DoesNotFit: a text holds a NUL character, which cannot be stored.
    """
    schema = entity.record_schema
    for name in schema.names:
        if pa.types.is_string(arrays[name].type) and _has_nul(arrays[name]):
            raise DoesNotFit(f"{name} holds a NUL character")
    return pa.Table.from_arrays([arrays[name] for name in schema.names], schema=schema)


def whole(values: Sequence[int]) -> pa.Array:
    """Whole numbers."""
    return pa.array(values, pa.int64())


def whole_or_none(values: Sequence[int]) -> pa.Array:
    """Ids, of which 0 is none."""
    array = whole(values)
    return pc.if_else(pc.equal(array, 0), pa.scalar(None, pa.int64()), array)


def text(values: Sequence[str | None]) -> pa.Array:
    """Texts; a missing one is the empty one."""
    return pa.array(values, pa.string()).fill_null("")


def text_or_none(values: Sequence[str | None]) -> pa.Array:
    """Texts; the empty one is none."""
    array = pa.array(values, pa.string())
    return pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)


def amounts(values: Sequence[str]) -> pa.Array:
    """Amounts of money, written out."""
    return _decimals(pa.array(values, pa.string()), MONEY)


def derived_amounts(values: Sequence[msgspec.Raw]) -> pa.Array:
    """Prices per unit, rounded as `rounded_money` does."""
    array = pc.round(derived(values), 4, round_mode="half_to_even").cast(MONEY)
    if array.null_count:
        raise DoesNotFit("a price is missing")
    return array


def derived(values: Sequence[msgspec.Raw]) -> pa.Array:
    """Prices per unit as they were written: numbers, texts or null."""
    if not values:
        return pa.array([], _DERIVED)
    written = b",".join(values)
    if b'"null"' in written:
        raise DoesNotFit("a price is not a number")
    # Quotation marks enclose a text; one that stands in a text is escaped, and a backslash is in no number.
    texts = pc.split_pattern(pa.array([written.replace(b'"', b"")], pa.string()), ",").flatten()
    if len(texts) != len(values):
        raise DoesNotFit("a price is not a number")
    return _decimals(pc.if_else(pc.equal(texts, "null"), pa.scalar(None, pa.string()), texts), _DERIVED)


def instants(values: Sequence[str | None]) -> pa.Array:
    """Wire times as instants; those without a zone are UTC."""
    texts = pa.array(values, pa.string())
    if _has_nul(texts):
        raise DoesNotFit("a time holds a NUL character")  # and would be read up to there
    if pc.all(pc.equal(pc.binary_length(texts), _NAIVE_LENGTH), min_count=0).as_py():
        array = texts.cast(_NAIVE).view(INSTANT)
    else:
        array = pa.array(msgspec.convert(values, list[datetime | None]), INSTANT)
    if pc.any(pc.or_(pc.less(array, _FIRST_INSTANT), pc.greater(array, _LAST_INSTANT))).as_py():
        raise DoesNotFit("a time lies outside of the years 1 to 9999 in UTC")
    return array


def required_instants(values: Sequence[str | None]) -> pa.Array:
    """As `instants`, for a field that must be there."""
    array = instants(values)
    if array.null_count:
        raise DoesNotFit("a time is missing")
    return array


def currencies(values: Sequence[str]) -> pa.Array:
    """ISO 4217 codes."""
    array = pa.array(values, pa.string())
    if not pc.all(pc.match_substring_regex(array, "^[A-Z]{3}$"), min_count=0).as_py():
        raise DoesNotFit("a currency is not an ISO 4217 code")
    return array


def numbers_within(counts: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... anew for each group of that many."""
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) - np.repeat(starts, counts)


def _decimals(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Numbers of at most 38 digits at either scale; Arrow reads others wrongly and does not say so: 1E-43, 10E27."""
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    is_odd = longest > _SHORT or bool((_bytes_in(texts) | 0x20 == ord("e")).any())
    if is_odd and not pc.all(pc.match_substring_regex(texts, _PLAIN), min_count=0).as_py():
        raise DoesNotFit("a number has an exponent or is too long")
    return texts.cast(kind)


def _has_nul(texts: pa.Array) -> bool:
    return not _bytes_in(texts).all()


def _bytes_in(texts: pa.Array) -> np.ndarray:
    """All texts, one after the other."""
    _, offsets, data = texts.buffers()
    if data is None:
        return np.zeros(0, dtype=np.uint8)
    ends = np.frombuffer(offsets, dtype=np.int32)
    return np.frombuffer(data, dtype=np.uint8)[ends[texts.offset] : ends[texts.offset + len(texts)]]
