"""A feature row as Redis keeps it: bytes that are exact to the microsecond, the bit and the last digit.

A row is its order, `(event_time, available_time, seq)` as three integers of 64 bits, great ones first, then MessagePack
of whether it is a tombstone and the features: whole numbers of 64 bits, doubles, money as decimal text.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from include.features.definitions.selection import ARROW_TYPES, Selection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ORDER = struct.Struct(">QQQ")
_SLOT = struct.Struct(">II")
_SENT = struct.Struct(">III")
_SHIFT = 2**63  # Unsigned, so that bytes compare as the integers do.
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder().decode


def field_of(key: tuple[Any, ...]) -> bytes:
    """A key as the field of a hash; no two keys have one field."""
    return _encode(key)


def packed(
    event_time: datetime, available_time: datetime, seq: int, *, is_tombstone: bool, features: Sequence[Any]
) -> bytes:
    """A row of history as bytes."""
    order = (*((instant - _EPOCH) // _MICROSECOND + _SHIFT for instant in (event_time, available_time)), seq + _SHIFT)
    return _ORDER.pack(*order) + _encode((is_tombstone, *features))


def sent(rows: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """Rows as the merging script takes them: number of the hash, field, row."""
    return b"".join([part for view, key, row in rows for part in (_SENT.pack(view, len(key), len(row)), key, row)])


def unpacked(entry: bytes | None, selection: Selection, *, visible: int, at: datetime) -> Sequence[Any]:
    """The event time and the selected features of the row that readers see and that was known at `at`, or Nones.

    :param visible: the newest published build.
    """
    nothing = [None] * (1 + len(selection.features))
    row = _visible_row(entry, visible) if entry else None
    if row is None:
        return nothing
    event_time, available_time, _ = _ORDER.unpack_from(row)
    instant = (at - _EPOCH) // _MICROSECOND + _SHIFT
    is_tombstone, *values = _decode(row[_ORDER.size :])
    if is_tombstone or event_time > instant or available_time > instant:
        return nothing
    by_name = dict(zip(selection.view.feature_names, values, strict=True))
    return [
        _EPOCH + _MICROSECOND * (event_time - _SHIFT),
        *(
            float(by_name[feature.name])
            if feature.type == "money" and ARROW_TYPES["money"] == pa.float64() and by_name[feature.name] is not None
            else by_name[feature.name]
            for feature in selection.features
        ),
    ]


def _visible_row(entry: bytes, visible: int) -> bytes | None:
    """Of the slots of an entry, newest first, the first of a published build."""
    place = 0
    while place < len(entry):
        build, length = _SLOT.unpack_from(entry, place)
        if build <= visible:
            return entry[place + _SLOT.size : place + _SLOT.size + length]
        place += _SLOT.size + length
    return None
