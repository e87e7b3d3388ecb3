"""What a point-in-time join found, collected by position of the spine and turned into columns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from threading import Lock
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.features.definitions.selection import ARROW_TYPES, NOT_FOUND, OUTSIDE_TTL, PRESENT, Selection
from include.features.history.spine import INSTANT

_STATUSES = pa.array([NOT_FOUND, OUTSIDE_TTL, PRESENT])
Positions = npt.NDArray[np.int64]
Values: TypeAlias = "pa.Array | tuple[npt.NDArray, npt.NDArray[np.bool_]]"
"""Of text an Arrow array; of numbers their values, and where they are valid."""


class Picks:
    """The picked rows of one view. Threads may put rows at different positions at once; what is put later counts."""

    def __init__(self, selection: Selection, row_count: int) -> None:
        self._selection = selection
        self._is_found = np.zeros(row_count, dtype=bool)
        self._event_times = np.zeros(row_count, dtype=np.int64)
        self._numbers = {
            feature.name: (
                np.zeros(row_count, dtype=ARROW_TYPES[feature.type].to_pandas_dtype()),
                np.zeros(row_count, dtype=bool),
            )
            for feature in selection.features
            if feature.type != "text"
        }
        self._texts = {feature.name: _Texts(row_count) for feature in selection.features if feature.type == "text"}

    def put(
        self,
        positions: Positions,
        *,
        event_times: npt.NDArray[np.int64],
        is_tombstone: npt.NDArray[np.bool_],
        features: Mapping[str, Values],
    ) -> None:
        """Keep the rows picked for some positions; numbers in the types that readers get.

        :param event_times: microseconds since 1970-01-01 UTC.
        """
        self._is_found[positions] = ~is_tombstone
        self._event_times[positions] = event_times
        for name, values in features.items():
            if isinstance(values, pa.Array):
                self._texts[name].put(positions, values)
            else:
                numbers, is_valid = self._numbers[name]
                numbers[positions], is_valid[positions] = values

    def columns(self, instants: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
        """The features, null unless present, and the status of each row at its instant."""
        ttl = self._selection.view.ttl
        is_present = self._is_found
        if ttl is not None:
            is_present = is_present & (instants - self._event_times <= _microseconds(ttl))
        columns = {}
        for feature in self._selection.features:
            if feature.type == "text":
                columns[feature.name] = self._texts[feature.name].taken(is_present)
            else:
                numbers, is_valid = self._numbers[feature.name]
                columns[feature.name] = pa.array(numbers, mask=~(is_valid & is_present))
        codes = (self._is_found.view(np.int8) + is_present.view(np.int8)).astype(np.int8)
        status = pa.DictionaryArray.from_arrays(pa.array(codes), _STATUSES).dictionary_decode()
        return columns | {self._selection.status_column: status}

    @property
    def event_times(self) -> pa.Array:
        """The snapshot of each row that was found, also outside its TTL."""
        return pa.array(self._event_times, mask=~self._is_found).view(INSTANT)


class _Texts:
    """Texts in the chunks that they came in, and which of them belongs to each position."""

    def __init__(self, row_count: int) -> None:
        self._places = np.zeros(row_count, dtype=np.int64)
        self._chunks = [pa.array([None], pa.string())]
        self._count = 1
        self._lock = Lock()

    def put(self, positions: Positions, values: pa.Array) -> None:
        with self._lock:
            start = self._count
            self._chunks.append(values)
            self._count += len(values)
        self._places[positions] = np.arange(start, start + len(values))

    def taken(self, is_present: npt.NDArray[np.bool_]) -> pa.Array:
        places = np.where(is_present, self._places, 0)
        return pc.take(pa.chunked_array(self._chunks), pa.array(places)).combine_chunks()


def _microseconds(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
