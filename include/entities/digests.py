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

from include.entities.entity import Entity

SIZE = 16


def digests(entity: Entity, rows: pa.Table) -> list[bytes]:
    """One digest per row.

    :param rows: with the entity's columns; others do not count.
    """
    contents, places = _contents(entity, rows)
    return [blake2b(contents[start:end], digest_size=SIZE).digest() for start, end in pairwise(places)]


def digests_with_lines(
    entity: Entity, rows: pa.Table, line_digests: Sequence[bytes], ends: Sequence[int]
) -> list[bytes]:
    """One digest per row, over the row and the set of its lines.

    :param line_digests: of all lines, those of one row one after the other.
    :param ends: for each row, how many lines it and the rows before it have.
    """
    contents, places = _contents(entity, rows)
    found = []
    first = 0
    for (start, end), last in zip(pairwise(places), ends, strict=True):
        digest = blake2b(contents[start:end], digest_size=SIZE)
        digest.update(b"".join(sorted(set(line_digests[first:last]))))
        found.append(digest.digest())
        first = last
    return found


def _contents(entity: Entity, rows: pa.Table) -> tuple[memoryview, list[int]]:
    """What is digested of all rows, one after the other, and where each begins and the last one ends."""
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
    head = pa.Array.from_buffers(
        pa.binary(width), rows.num_rows, [None, pa.py_buffer(np.concatenate(fixed, axis=1).tobytes())]
    )
    joined = pc.binary_join_element_wise(head.cast(pa.binary()), *texts, b"")
    _, offsets, data = joined.buffers()
    view = memoryview(data) if data is not None else memoryview(b"")
    return view, np.frombuffer(offsets, dtype=np.int32, count=rows.num_rows + 1, offset=joined.offset * 4).tolist()


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
