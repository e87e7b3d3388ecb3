"""Columns of numbers to and from Postgres as arrays in its binary format, without a Python object per value.

An array on the wire: dimensions, whether it has nulls, the type of its elements, its length and lower bound; then per
element its size and its bytes, most significant first; a null is the size -1 and no bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from psycopg import Connection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

POSTGRES_EPOCH = 946_684_800_000_000
"""2000-01-01 UTC in microseconds since 1970-01-01 UTC: where Postgres counts its timestamps from."""
_HEADER = struct.Struct(">iiIii")
_BIGINT, _TIMESTAMPTZ = 20, 1184


@dataclass(frozen=True, slots=True)
class Bigints:
    """An array parameter of whole numbers without nulls; in a statement it is `%b::bigint[]`."""

    values: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Instants:
    """An array parameter of microseconds since 1970-01-01 UTC; in a statement it is `%b::timestamptz[]`."""

    values: npt.NDArray[np.int64]


class _BigintsDumper(Dumper):
    format = Format.BINARY
    oid = 1016

    def dump(self, obj: Bigints) -> Buffer:
        return _encoded(obj.values, element_type=_BIGINT)


class _InstantsDumper(Dumper):
    format = Format.BINARY
    oid = 1185

    def dump(self, obj: Instants) -> Buffer:
        return _encoded(obj.values - POSTGRES_EPOCH, element_type=_TIMESTAMPTZ)


def register_arrays(conn: Connection) -> None:
    """Let `conn` take `Bigints` and `Instants` as parameters."""
    conn.adapters.register_dumper(Bigints, _BigintsDumper)
    conn.adapters.register_dumper(Instants, _InstantsDumper)


def _encoded(values: npt.NDArray[np.int64], *, element_type: int) -> bytes:
    elements = np.empty(len(values), dtype=[("size", ">i4"), ("value", ">i8")])
    elements["size"] = 8
    elements["value"] = values
    return _HEADER.pack(1, 0, element_type, len(values), 1) + elements.tobytes()


def decoded(array: bytes | None, dtype: str, *, nulls: npt.NDArray[np.bool_] | None = None) -> npt.NDArray:
    """The values of an array that Postgres sent.

    :param array: None, which is what `array_agg` makes of no rows, has no values.
    :param dtype: of the elements as numpy names it, such as `i8`, `f8`, `i4`, `?`.
    :param nulls: where the array has nulls, if it has any; there the values are 0.
    """
    wanted = np.dtype(dtype)
    if array is None:
        return np.empty(0, dtype=wanted)
    length = _HEADER.unpack_from(array)[3]
    value_type = wanted.newbyteorder(">")
    if nulls is None or not nulls.any():
        elements = np.frombuffer(
            array, dtype=[("size", ">i4"), ("value", value_type)], count=length, offset=_HEADER.size
        )
        return elements["value"].astype(wanted)
    values = np.zeros(length, dtype=wanted)
    ends = _HEADER.size + np.cumsum(np.where(nulls, 4, 4 + wanted.itemsize))
    starts = (ends - wanted.itemsize)[~nulls]
    at_every_byte = np.ndarray(len(array) - wanted.itemsize + 1, dtype=value_type, buffer=array, strides=(1,))
    values[~nulls] = at_every_byte[starts]
    return values
