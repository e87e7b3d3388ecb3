"""Whole pages straight to columns, without an object per record.

This is the fast way and takes in less than the way row by row: whatever it does not know raises, and the rows are then
read one by one. What it takes in comes out as the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.entities.entity import INSTANT, MONEY, Entity
from include.sources.source import Page

_FIRST_INSTANT = pa.scalar(datetime.min.replace(tzinfo=UTC), INSTANT)
_LAST_INSTANT = pa.scalar(datetime.max.replace(tzinfo=UTC), INSTANT)
_DERIVED = pa.decimal128(38, 20)
"""Prices per unit as they come, before they are rounded."""


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


class Fields:
    """Fields of typed rows, gathered page by page: one list of values per field.

    :param names: of attributes, dotted for those further inside.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._getters = [(attrgetter(name), name) for name in names]
        self._values: dict[str, list[Any]] = {name: [] for _, name in self._getters}

    def extend(self, rows: Sequence[Any]) -> None:
        """Gather some rows."""
        for getter, name in self._getters:
            self._values[name].extend(map(getter, rows))

    def __getitem__(self, name: str) -> list[Any]:
        return self._values[name]


def table_of(entity: Entity, arrays: Mapping[str, pa.Array]) -> pa.Table:
    """Arrays as a table of the entity's columns and `source_updated_at`."""
    schema = entity.record_schema
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
    return pa.array(values, pa.string()).cast(MONEY)


def derived_amounts(values: Sequence[Decimal | None]) -> pa.Array:
    """Prices per unit, rounded as `rounded_money` does."""
    array = pc.round(pa.array(values, _DERIVED), 4, round_mode="half_to_even").cast(MONEY)
    if array.null_count:
        raise DoesNotFit("a price is missing")
    return array


def instants(values: Sequence[datetime | None]) -> pa.Array:
    """Wire times as instants; those without a zone are UTC."""
    array = pa.array(values, INSTANT)
    if pc.any(pc.or_(pc.less(array, _FIRST_INSTANT), pc.greater(array, _LAST_INSTANT))).as_py():
        raise DoesNotFit("a time lies outside of the years 1 to 9999 in UTC")
    return array


def required_instants(values: Sequence[datetime | None]) -> pa.Array:
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
