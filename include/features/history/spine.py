"""The spine: the `(entity key, time)` rows that want features, checked before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.features.definitions.entity import JoinKey, KeyType

INSTANT = pa.timestamp("us", tz="UTC")
_ROWS_NAMED = 5
_LARGEST_KEY = 2**63 - 1


class BadSpine(ValueError):
    """Rows of a spine cannot be joined; the text names them by position, counting from 0."""


class LabelBeforeSpine(BadSpine):
    """A label would be taken from before the instant of its features' row."""


@dataclass(frozen=True)
class Spine:
    """Keys and instants by position.

    :param keys: one array per join key, whole numbers or text; null where it is missing.
    :param instants: microseconds since 1970-01-01 UTC.
    """

    keys: tuple[pa.Array, ...]
    instants: npt.NDArray[np.int64]

    @cached_property
    def ordered(self) -> npt.NDArray[np.int64]:
        """Positions of the rows that have a whole key, by key and instant, as the history is ordered."""
        if len(self.keys) == 1 and pa.types.is_integer(self.keys[0].type) and not self.keys[0].null_count:
            return _order(self.keys[0].to_numpy(), self.instants)
        has_key = np.ones(len(self.instants), dtype=bool)
        for key in self.keys:
            has_key &= key.is_valid().to_numpy(zero_copy_only=False)
        positions = np.flatnonzero(has_key)
        if len(self.keys) == 1 and pa.types.is_integer(self.keys[0].type):
            numbers = self.keys[0].fill_null(0).to_numpy(zero_copy_only=False)[positions]
            return positions[_order(numbers, self.instants[positions])]
        columns = {f"key_{number}": key.take(pa.array(positions)) for number, key in enumerate(self.keys)}
        rows = pa.table(columns | {"at": pa.array(self.instants[positions])})
        return positions[pc.sort_indices(rows, [(name, "ascending") for name in rows.column_names]).to_numpy()]

    @cached_property
    def places(self) -> npt.NDArray[np.int64]:
        """Per row its place in `ordered`, or -1 if it has no whole key."""
        places = np.full(len(self.instants), -1, dtype=np.int64)
        places[self.ordered] = np.arange(len(self.ordered))
        return places


def _order(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How to sort by two columns. Both in one number, where they fit, are sorted several times faster."""
    if not len(first):
        return np.empty(0, dtype=np.int64)
    spans = [int(column.max()) - int(column.min()) for column in (first, second)]
    bits = [span.bit_length() for span in spans]
    if sum(bits) > 63:
        return np.lexsort((second, first))
    return np.argsort(((first - first.min()) << bits[1]) | (second - second.min()))


def read_instants(
    spine: pd.DataFrame | pa.Table, *, time_column: str, label_start_column: str | None = None
) -> npt.NDArray[np.int64]:
    """The instants of a spine in microseconds since 1970-01-01 UTC, checked; what is finer is cut off.

    :raises BadSpine: a column is missing, or a time is naive or null.
    :raises LabelBeforeSpine: a label window starts before its row's time.
    """
    instants = _instants(_column(spine, time_column), name=time_column)
    if label_start_column is not None:
        starts = _instants(_column(spine, label_start_column), name=label_start_column)
        early = np.flatnonzero(starts < instants)
        if len(early):
            raise LabelBeforeSpine(label_before(named_rows(early), label_start_column, time_column))
    return instants


def label_before(rows: str, label_start_column: str, time_column: str) -> str:
    """What is said of rows whose label would be taken from before their features."""
    return (
        f"{rows}: the label window ({label_start_column}) starts before the row's time ({time_column}), so the "
        f"features could know the label. Start label windows at {time_column} or later."
    )


def read_keys(spine: pd.DataFrame | pa.Table, keys: tuple[JoinKey, ...]) -> tuple[pa.Array, ...]:
    """The key columns of a spine, checked. A null is let through: nothing is known about it.

    :raises BadSpine: a column is missing, a key is of another type, or a text holds what Postgres cannot store.
    """
    return tuple(_KEY_READERS[key.type](_column(spine, key.name), name=key.name) for key in keys)


def refuse_taken_names(names: Sequence[str]) -> None:
    """:raises BadSpine: of the columns of a spine and those joined to it, two would have one name."""
    taken = sorted({name for name in names if names.count(name) > 1})
    if taken:
        raise BadSpine(f"The spine has columns named like features, or two features have one name: {', '.join(taken)}.")


def _column(spine: pd.DataFrame | pa.Table, name: str) -> pa.Array | pd.Series:
    names = list(spine.column_names if isinstance(spine, pa.Table) else spine.columns)
    if names.count(name) != 1:
        raise BadSpine(f"The spine has {names.count(name)} columns named {name!r} and needs one. It has: {names}.")
    column = spine[name]
    if not isinstance(spine, pa.Table):
        if column.dtype == object:
            return column
        column = pa.Array.from_pandas(column)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _instants(column: pa.Array | pd.Series, *, name: str) -> npt.NDArray[np.int64]:
    """Microseconds since 1970 UTC of a column without nulls or naive times."""
    if isinstance(column, pd.Series):
        column = _instants_of_objects(column.tolist(), name=name)
    if not pa.types.is_timestamp(column.type):
        raise BadSpine(
            f"{named_rows(range(len(column)))}: {name} is {column.type}, not an instant. "
            "Give timestamps with a time zone."
        )
    if column.type.tz is None and len(column):
        raise BadSpine(
            f"{named_rows(range(len(column)))}: {name} has no time zone. "
            "Say which one it is, for example with tz_localize."
        )
    nulls = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    if len(nulls):
        raise BadSpine(f"{named_rows(nulls)}: {name} is null. Drop these rows or give them an instant.")
    if column.type.unit == "ns":
        nanoseconds = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return nanoseconds // 1000
    return column.cast(INSTANT).cast(pa.int64()).to_numpy(zero_copy_only=False)


def _instants_of_objects(values: Sequence[object], *, name: str) -> pa.Array:
    """A column of Python objects as instants; pd.Timestamp counts as the datetime it is."""
    _refuse(values, lambda value: not isinstance(value, datetime) or value is pd.NaT, name, "is null or not an instant")
    _refuse(values, lambda value: value.tzinfo is None, name, "has no time zone")
    return pa.array([pd.Timestamp(value).tz_convert("UTC").to_pydatetime(warn=False) for value in values], INSTANT)


def _whole_numbers(column: pa.Array | pd.Series, *, name: str) -> pa.Array:
    if isinstance(column, pd.Series):
        values = _with_none(column)
        _refuse(
            values,
            lambda value: value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer)),
            name,
            "is not an integer",
        )
        _refuse(
            values,
            lambda value: value is not None and not -_LARGEST_KEY <= value <= _LARGEST_KEY,
            name,
            "is larger than any key",
        )
        column = pa.array(values, pa.int64())
    if pa.types.is_null(column.type):
        return column.cast(pa.int64())
    if not pa.types.is_integer(column.type):
        hint = " A pandas column with missing keys needs the type Int64." if pa.types.is_floating(column.type) else ""
        raise BadSpine(f"{named_rows(range(len(column)))}: {name} is {column.type}, not an integer.{hint}")
    if column.type == pa.uint64():
        large = np.flatnonzero(
            pc.greater(column, pa.scalar(_LARGEST_KEY, pa.uint64())).fill_null(False).to_numpy(zero_copy_only=False)
        )
        if len(large):
            raise BadSpine(f"{named_rows(large)}: {name} is larger than any key can be (2**63 - 1).")
    return column.cast(pa.int64())


def _texts(column: pa.Array | pd.Series, *, name: str) -> pa.Array:
    if isinstance(column, pd.Series):
        values = _with_none(column)
        _refuse(values, lambda value: value is not None and not isinstance(value, str), name, "is not text")
        _refuse(values, lambda value: value is not None and not _is_unicode(value), name, "is no Unicode text")
        column = pa.array(values, pa.string())
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise BadSpine(f"{named_rows(range(len(column)))}: {name} is {column.type}, not text.")
    with_nul = np.flatnonzero(pc.match_substring(column, "\0").fill_null(False).to_numpy(zero_copy_only=False))
    if len(with_nul):
        raise BadSpine(f"{named_rows(with_nul)}: {name} holds the character NUL, which no key has.")
    return column.cast(pa.string())


_KEY_READERS: dict[KeyType, Callable[..., pa.Array]] = {"integer": _whole_numbers, "text": _texts}


def _with_none(column: pd.Series) -> list[Any]:
    """The values of a column of Python objects, None for all that pandas takes for missing."""
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna(), strict=True)]


def _is_unicode(value: str) -> bool:
    """False for half a surrogate pair, which has no bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _refuse(values: Sequence[object], is_bad: Callable[[Any], bool], name: str, what: str) -> None:
    bad = [position for position, value in enumerate(values) if is_bad(value)]
    if bad:
        raise BadSpine(f"{named_rows(bad)}: {name} {what} (the first is {values[bad[0]]!r}).")


def named_rows(positions: Sequence[int] | range | npt.NDArray[np.intp], *, count: int | None = None) -> str:
    """`Row 3 of the spine`, `Rows 0, 1, 2, 3, 4 and 995 more of the spine`.

    :param count: how many there are, if not all of them are given.
    """
    count = len(positions) if count is None else count
    named = ", ".join(str(position) for position in positions[:_ROWS_NAMED])
    more = f" and {count - _ROWS_NAMED} more" if count > _ROWS_NAMED else ""
    return f"Row{'s' if count != 1 else ''} {named}{more} of the spine"
