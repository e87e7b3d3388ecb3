"""Columns of many rows out of Postgres as one row of arrays, in the types that readers of features know."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from psycopg import sql

from include.features.history.picks import Values
from include.features.history.postgres_arrays import decoded


def aggregates(expression: sql.Composable, *, kind: str, row: sql.Composable) -> list[sql.Composable]:
    """What to select of one column: where it is null, and its values; of text the lengths in bytes and all bytes.

    :param kind: `text`, or what numpy calls a number of the column's type, such as `i8` or `f8`.
    :param row: the column with the numbers of the rows, rising.
    """
    nulls = sql.SQL("array_agg({}) FILTER (WHERE {} IS NULL)").format(row, expression)
    if kind != "text":
        return [nulls, sql.SQL("array_agg({})").format(expression)]
    text = sql.SQL("convert_to({}, 'UTF8')").format(expression)
    lengths = sql.SQL("array_agg(coalesce(octet_length({}), 0))").format(text)
    return [nulls, lengths, sql.SQL("string_agg({}, ''::bytea)").format(text)]


def width_of(kind: str) -> int:
    """How many columns `aggregates` selects."""
    return 3 if kind == "text" else 2


def values_of(answer: Sequence[bytes | None], *, kind: str, rows: npt.NDArray[np.int64]) -> Values:
    """What Postgres answered to `aggregates`.

    :param rows: the numbers of the rows.
    """
    if answer[0] is None and kind != "text":
        return decoded(answer[1], kind), None
    is_null = np.zeros(len(rows), dtype=bool)
    is_null[np.searchsorted(rows, decoded(answer[0], "i8"))] = True
    if kind != "text":
        return decoded(answer[1], kind, nulls=is_null), ~is_null
    ends = np.concatenate([[0], np.cumsum(decoded(answer[1], "i4"))]).astype(np.int32)
    validity = np.packbits(~is_null, bitorder="little")
    buffers = pa.py_buffer(ends.tobytes()), pa.py_buffer(answer[2] or b""), pa.py_buffer(validity.tobytes())
    return pa.StringArray.from_buffers(len(rows), *buffers)
