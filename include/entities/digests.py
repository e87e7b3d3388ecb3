"""Digests of records, made from their columns: 16 bytes, the same on every machine and run, whatever they were read by.

A row's content is written as bytes that no other content gives: for each column a byte that says whether it is null
and its value in a fixed width, for a text its length; then all texts. The version is no content. A row with lines is
different when the set of its lines is.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.entities.entity import DIGEST, Entity

SIZE = 16


def digests(entity: Entity, rows: pa.Table) -> pa.Array:
    """One digest per row.

    :param rows: with the entity's columns; others do not count.
    """
    return _hashed(_contents(entity, rows))


def digests_with_lines(entity: Entity, rows: pa.Table, line_digests: pa.Array, owners: np.ndarray) -> pa.Array:
    """One digest per row, over the row and the set of its lines.

    :param line_digests: of all lines, those of one row one after the other.
    :param owners: for each line the row that it belongs to, ascending.
    """
    return _hashed([*_contents(entity, rows), _sets(line_digests, owners, rows.num_rows)])


def _hashed(parts: Sequence[pa.Array]) -> pa.Array:
    """The digests of what stands in each line of some columns of bytes."""
    joined = pc.binary_join_element_wise(*parts, b"")
    _, offsets, data = joined.buffers()
    contents = data.to_pybytes() if data is not None else b""  # slices of bytes are cheaper than of a view
    places = np.frombuffer(offsets, dtype=np.int32, count=len(joined) + 1, offset=joined.offset * 4).tolist()
    found = [blake2b(contents[start:end], digest_size=SIZE).digest() for start, end in pairwise(places)]
    return pa.Array.from_buffers(DIGEST, len(found), [None, pa.py_buffer(b"".join(found))])


def _sets(line_digests: pa.Array, owners: np.ndarray, row_count: int) -> pa.Array:
    """For each row the digests of its lines, ordered, each once, one after the other."""
    data = line_digests.buffers()[1]
    halves = np.frombuffer(data, dtype=">u8", count=2 * len(owners), offset=line_digests.offset * SIZE).reshape(-1, 2)
    order = _order(halves, owners)
    halves, owners = halves[order], owners[order]
    is_new = np.ones(len(owners), dtype=bool)
    is_new[1:] = (owners[1:] != owners[:-1]) | (halves[1:] != halves[:-1]).any(axis=1)
    ends = np.cumsum(np.bincount(owners[is_new], minlength=row_count)) * SIZE
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    return pa.Array.from_buffers(
        pa.binary(), row_count, [None, pa.py_buffer(offsets), pa.py_buffer(halves[is_new].tobytes())]
    )


def _order(halves: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """What orders digests by their rows and then by their bytes."""
    if len(owners) and owners[-1] < 1 << 16:
        # One number of row and first 6 bytes sorts ten times faster; different digests all but never agree in those.
        starts = (owners.astype(np.uint64) << np.uint64(48)) | (halves[:, 0].astype(np.uint64) >> np.uint64(16))
        order = np.argsort(starts)
        is_tie = np.diff(starts[order]) == 0
        if not (is_tie & (np.diff(halves[order], axis=0) != 0).any(axis=1)).any():
            return order
    return np.lexsort((halves[:, 1], halves[:, 0], owners))


def _contents(entity: Entity, rows: pa.Table) -> list[pa.Array]:
    """What is digested of each row: columns of bytes, of which the first holds everything but the texts."""
    fixed: list[np.ndarray] = []
    texts: list[pa.Array] = []
    for name in entity.columns:
        column = rows.column(name).combine_chunks()
        fixed.append(column.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False).reshape(-1, 1))
        if pa.types.is_string(column.type):
            texts.append(column.fill_null("").cast(pa.binary()))
            lengths = pc.binary_length(texts[-1]).to_numpy(zero_copy_only=False)
            fixed.append(lengths.astype("<i4").view(np.uint8).reshape(-1, 4))
        else:
            fixed.append(_bytes_of(column))
    width = sum(part.shape[1] for part in fixed)
    head = pa.py_buffer(np.concatenate(fixed, axis=1))
    return [pa.Array.from_buffers(pa.binary(width), rows.num_rows, [None, head]).cast(pa.binary()), *texts]


def _bytes_of(column: pa.Array) -> np.ndarray:
    """The values' own bytes, one line per row; zeros where there is none."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    width = column.type.bit_width // 8
    values = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    values = values[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)
    if column.null_count:
        values = values.copy()
        values[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return values
