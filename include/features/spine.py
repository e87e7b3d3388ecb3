"""The spine: the `(entity key, time)` rows that want features, checked before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

INSTANT = pa.timestamp("us", tz="UTC")
_ROWS_NAMED = 5
_LARGEST_KEY = 2**63 - 1


class BadSpine(ValueError):
    """Rows of a spine cannot be joined; the text names them by position, counting from 0."""


class LabelBeforeSpine(BadSpine):
    """A label would be taken from before the instant of its features' row."""


@dataclass(frozen=True, slots=True)
class Spine:
    """Keys and instants by position.

    :param keys: entity keys; meaningless where `has_key` is false.
    :param instants: microseconds since 1970-01-01 UTC.
    """

    keys: npt.NDArray[np.int64]
    has_key: npt.NDArray[np.bool_]
    instants: npt.NDArray[np.int64]


def read_spine(
    spine: pd.DataFrame | pa.Table, *, key: str, time_column: str, label_start_column: str | None = None
) -> Spine:
    """Check a spine and take what the join needs from it.

    Times are cut to microseconds and turned into UTC. A null key is let through: nothing is known about it.

    :raises BadSpine: a column is missing; a time is naive or null; a key is not an integer.
    :raises LabelBeforeSpine: a label window starts before its row's time.
    """
    instants = _instants(_column(spine, time_column), name=time_column)
    keys = _keys(_column(spine, key), name=key)
    if label_start_column is not None:
        starts = _instants(_column(spine, label_start_column), name=label_start_column)
        early = np.flatnonzero(starts < instants)
        if len(early):
            raise LabelBeforeSpine(
                f"{_rows(early)}: the label window ({label_start_column}) starts before the row's time "
                f"({time_column}), so the features could know the label. Start label windows at {time_column} or later."
            )
    return Spine(
        keys=keys.fill_null(0).to_numpy(zero_copy_only=False),
        has_key=keys.is_valid().to_numpy(zero_copy_only=False),
        instants=instants,
    )


def _column(spine: pd.DataFrame | pa.Table, name: str) -> pa.Array | pd.Series:
    names = list(spine.column_names if isinstance(spine, pa.Table) else spine.columns)
    if names.count(name) != 1:
        raise BadSpine(f"The spine has {names.count(name)} columns named {name!r} and needs one. It has: {names}.")
    if isinstance(spine, pa.Table):
        column = spine[name]
        return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    series = spine[name]
    return series if series.dtype == object else _arrow(series)


def _arrow(series: pd.Series) -> pa.Array:
    array = pa.Array.from_pandas(series)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _instants(column: pa.Array | pd.Series, *, name: str) -> npt.NDArray[np.int64]:
    """Microseconds since 1970 UTC of a column without nulls or naive times."""
    if isinstance(column, pd.Series):
        column = _instants_of_objects(column.tolist(), name=name)
    if not pa.types.is_timestamp(column.type):
        raise BadSpine(
            f"{_rows(range(len(column)))}: {name} is {column.type}, not an instant. Give timestamps with a time zone."
        )
    if column.type.tz is None and len(column):
        raise BadSpine(
            f"{_rows(range(len(column)))}: {name} has no time zone. Say which one it is, for example with tz_localize."
        )
    nulls = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    if len(nulls):
        raise BadSpine(f"{_rows(nulls)}: {name} is null. Drop these rows or give them an instant.")
    if column.type.unit == "ns":
        nanoseconds = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return nanoseconds // 1000
    return column.cast(INSTANT).cast(pa.int64()).to_numpy(zero_copy_only=False)


def _instants_of_objects(values: Sequence[object], *, name: str) -> pa.Array:
    """A column of Python objects as instants; pd.Timestamp counts as the datetime it is."""
    _refuse(values, lambda value: not isinstance(value, datetime) or value is pd.NaT, name, "is null or not an instant")
    _refuse(values, lambda value: value.tzinfo is None, name, "has no time zone")
    return pa.array([pd.Timestamp(value).tz_convert("UTC").to_pydatetime(warn=False) for value in values], INSTANT)


def _keys(column: pa.Array | pd.Series, *, name: str) -> pa.Array:
    if isinstance(column, pd.Series):
        values = [None if value is None or value is pd.NA else value for value in column.tolist()]
        _refuse(
            values,
            lambda value: value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer)),
            name,
            "is not an integer",
        )
        _refuse(values, lambda value: value is not None and abs(value) > _LARGEST_KEY, name, "is larger than any key")
        column = pa.array(values, pa.int64())
    if pa.types.is_null(column.type):
        return column.cast(pa.int64())
    if not pa.types.is_integer(column.type):
        hint = " A pandas column with missing keys needs the type Int64." if pa.types.is_floating(column.type) else ""
        raise BadSpine(f"{_rows(range(len(column)))}: {name} is {column.type}, not an integer.{hint}")
    if column.type == pa.uint64():
        large = np.flatnonzero(
            pc.greater(column, pa.scalar(_LARGEST_KEY, pa.uint64())).fill_null(False).to_numpy(zero_copy_only=False)
        )
        if len(large):
            raise BadSpine(f"{_rows(large)}: {name} is larger than any key can be (2**63 - 1).")
    return column.cast(pa.int64())


def _refuse(values: Sequence[object], is_bad: Callable[[Any], bool], name: str, what: str) -> None:
    bad = [position for position, value in enumerate(values) if is_bad(value)]
    if bad:
        raise BadSpine(f"{_rows(bad)}: {name} {what} (the first is {values[bad[0]]!r}).")


def _rows(positions: Sequence[int] | range | npt.NDArray[np.intp]) -> str:
    """`Row 3 of the spine`, `Rows 0, 1, 2, 3, 4 and 995 more of the spine`."""
    named = ", ".join(str(position) for position in positions[:_ROWS_NAMED])
    more = f" and {len(positions) - _ROWS_NAMED} more" if len(positions) > _ROWS_NAMED else ""
    return f"Row{'s' if len(positions) != 1 else ''} {named}{more} of the spine"
