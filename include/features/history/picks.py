"""What a point-in-time join found, collected in the order of the keys and turned into columns for the spine's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cached_property
from threading import Lock
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.features.definitions.selection import ARROW_TYPES, NOT_FOUND, OUTSIDE_TTL, PRESENT, Selection
from include.features.definitions.view import Feature
from include.features.history.spine import INSTANT, Spine

THREADS = 2
"""That work on one join."""
_STATUSES = pa.array([NOT_FOUND, OUTSIDE_TTL, PRESENT])
Places: TypeAlias = "npt.NDArray[np.int64] | slice"
Values: TypeAlias = "pa.Array | tuple[npt.NDArray, npt.NDArray[np.bool_] | None]"
"""Of text an Arrow array; of numbers their values, and where they are valid, None if everywhere."""


class Picks:
    """The picked rows of one view, by the places of the spine's rows in its order, in which they are found.

    Threads may put rows at different places at once; what is put later counts.
    """

    def __init__(self, selection: Selection, spine: Spine) -> None:
        self._selection = selection
        self._spine = spine
        count = len(spine.ordered)
        self._is_found = np.zeros(count, dtype=bool)
        self._times = np.zeros(count, dtype=np.int64)
        self._numbers = {
            feature.name: np.zeros(count, dtype=ARROW_TYPES[feature.type].to_pandas_dtype())
            for feature in selection.features
            if feature.type != "text"
        }
        self._is_null: dict[str, npt.NDArray[np.bool_]] = {}
        """Of the features that were null somewhere."""
        self._texts = {feature.name: _Texts(count) for feature in selection.features if feature.type == "text"}

    def put(
        self,
        places: Places,
        *,
        event_times: npt.NDArray[np.int64],
        is_tombstone: npt.NDArray[np.bool_],
        features: Mapping[str, Values],
    ) -> None:
        """Keep the rows picked for some places; numbers in the types that readers get.

        :param event_times: microseconds since 1970-01-01 UTC.
        """
        self._is_found[places] = ~is_tombstone
        self._times[places] = event_times
        for name, values in features.items():
            if isinstance(values, pa.Array):
                self._texts[name].put(places, values)
                continue
            numbers, is_valid = values
            self._numbers[name][places] = numbers
            if is_valid is not None:
                self._is_null.setdefault(name, np.zeros(len(self._is_found), dtype=bool))[places] = ~is_valid
            elif name in self._is_null:
                self._is_null[name][places] = False

    def columns(self) -> dict[str, pa.Array]:
        """The features, null unless present, and the status of each row of the spine at its instant."""
        ttl = self._selection.view.ttl
        is_present = self._is_row_found
        if ttl is not None:
            is_present = is_present & (self._spine.instants - self._row_times <= _microseconds(ttl))
        is_absent = ~is_present

        def column(feature: Feature) -> pa.Array:
            if feature.type == "text":
                return self._texts[feature.name].taken(self._by_row, is_present)
            is_null = is_absent
            if feature.name in self._is_null:
                is_null = is_absent | self._by_row(self._is_null[feature.name])
            return pa.array(self._by_row(self._numbers[feature.name]), mask=is_null)

        features = self._selection.features
        with ThreadPoolExecutor(THREADS) as threads:
            columns = dict(zip((each.name for each in features), threads.map(column, features), strict=True))
        codes = self._is_row_found.view(np.int8) + is_present.view(np.int8)
        status = pa.DictionaryArray.from_arrays(pa.array(codes), _STATUSES).dictionary_decode()
        return columns | {self._selection.status_column: status}

    @property
    def event_times(self) -> pa.Array:
        """The snapshot of each row that was found, also outside its TTL."""
        return pa.array(self._row_times, mask=~self._is_row_found).view(INSTANT)

    @cached_property
    def _is_row_found(self) -> npt.NDArray[np.bool_]:
        return self._by_row(self._is_found) & (self._spine.places >= 0)

    @cached_property
    def _row_times(self) -> npt.NDArray[np.int64]:
        return self._by_row(self._times)

    def _by_row(self, values: npt.NDArray) -> npt.NDArray:
        """From places to rows of the spine; a row without a whole key gets anything."""
        if not len(values):
            return np.zeros(len(self._spine.places), dtype=values.dtype)
        return values.take(self._spine.places, mode="clip")


class _Texts:
    """Texts in the chunks that they came in, and which of them belongs to each place."""

    def __init__(self, count: int) -> None:
        self._numbers = np.zeros(count, dtype=np.int64)
        self._chunks = [pa.array([None], pa.string())]
        self._count = 1
        self._lock = Lock()

    def put(self, places: Places, values: pa.Array) -> None:
        with self._lock:
            start = self._count
            self._chunks.append(values)
            self._count += len(values)
        self._numbers[places] = np.arange(start, start + len(values))

    def taken(self, by_row: Callable[[npt.NDArray], npt.NDArray], is_present: npt.NDArray[np.bool_]) -> pa.Array:
        numbers = np.where(is_present, by_row(self._numbers), 0)
        return pc.take(pa.chunked_array(self._chunks), pa.array(numbers)).combine_chunks()


def _microseconds(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
