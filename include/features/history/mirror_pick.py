"""The point-in-time join of one view from the files of its mirror, block by block."""

from __future__ import annotations

import bisect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.features.definitions.selection import Selection
from include.features.definitions.view import Feature
from include.features.history.mirror_search import Numbers, group_of, group_starts, last_available, last_up_to
from include.features.history.mirror_store import Block, Layer, MirrorStore, Part
from include.features.history.picks import THREADS, Picks, Values
from include.features.history.postgres_join import Mode
from include.features.history.spine import INSTANT, Spine

_EXACT = 2**53
_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class MirrorJoin:
    """One view's join: which features, of which rows, by which rule."""

    store: MirrorStore
    selection: Selection
    spine: Spine
    mode: Mode
    known_at: datetime | None

    def pick(self, layers: tuple[Layer, ...]) -> Picks:
        """The picked rows. A later layer was written later, so that of equal instants its row counts."""
        picks = Picks(self.selection, self.spine)
        ordered = self.spine.ordered
        keys = tuple(key.take(pa.array(ordered)) for key in self.spine.keys)
        instants = self.spine.instants[ordered]
        best = None
        if len(layers) > 1:
            best = np.full(len(ordered), _NEVER), np.full(len(ordered), _NEVER)

        def take(task: tuple[Part, int, int, int]) -> None:
            part, number, start, end = task
            own = tuple(key[start:end] for key in keys)
            older = None if best is None else (best[0][start:end], best[1][start:end])
            self._take(picks, part, number, own, instants[start:end], start, older)

        with ThreadPoolExecutor(THREADS) as threads:
            for layer in layers:
                list(threads.map(take, _tasks(layer, keys[0])))
        return picks

    def _take(
        self,
        picks: Picks,
        part: Part,
        number: int,
        keys: tuple[pa.Array, ...],
        instants: Numbers,
        first: int,
        best: tuple[Numbers, Numbers] | None,
    ) -> None:
        """Join some rows of the spine with one block; `best` holds what older layers had, and is brought up to date.

        :param first: the place of the first of these rows in the order of the spine.
        """
        block = part.blocks[number]
        rows = self._read(part, number, block, with_available=best is not None)
        events = _microseconds(rows["event_time"])
        if not len(events):
            return
        places = self._places(rows, events, keys, instants, block)
        if best is None:
            found = np.flatnonzero(places >= 0)
        else:
            older_events, older_available = best
            new_events = events[np.maximum(places, 0)]
            new_available = _microseconds(rows["available_time"])[np.maximum(places, 0)]
            is_newer = (new_events > older_events) | ((new_events == older_events) & (new_available >= older_available))
            found = np.flatnonzero((places >= 0) & is_newer)
            older_events[found], older_available[found] = new_events[found], new_available[found]
        chosen = places[found]
        picks.put(
            slice(first, first + len(places)) if len(found) == len(places) else first + found,
            event_times=events[chosen],
            is_tombstone=_flags(rows, block)[chosen],
            features={feature.name: _taken(rows[feature.name], chosen, feature) for feature in self.selection.features},
        )

    def _read(self, part: Part, number: int, block: Block, *, with_available: bool) -> dict[str, pa.Array]:
        """The columns that are needed of a block's rows; of those that were written by `known_at`, if that is given."""
        names = [*self.selection.view.entity.key_names, "event_time"]
        names += [feature.name for feature in self.selection.features]
        if with_available or self._asks_available(block):
            names.append("available_time")
        if block.tombstones:
            names.append("is_tombstone")
        if self.known_at is not None:
            names.append("ingested_at")
        with self.store.opened(part) as file:
            table = file.read_row_group(number, columns=names, use_threads=False)
        if self.known_at is not None:
            table = table.filter(pc.less_equal(table["ingested_at"], pa.scalar(self.known_at, INSTANT)))
        return {name: _whole(table[name]) for name in names}

    def _asks_available(self, block: Block) -> bool:
        """Whether a row of the block could have become available after an instant that its event time is not after."""
        return self.mode == "as_known" and block.most_delay > 0

    def _places(
        self, rows: dict[str, pa.Array], events: Numbers, keys: tuple[pa.Array, ...], instants: Numbers, block: Block
    ) -> Numbers:
        """For each row of the spine the picked row of the block, or -1."""
        known = [rows[name] for name in self.selection.view.entity.key_names]
        bounds = group_starts(known)
        group = group_of(keys, [key.take(pa.array(bounds[:-1])) for key in known])
        is_known = group >= 0
        group = np.where(is_known, group, 0)
        starts = bounds[group]
        places = np.where(is_known, last_up_to(events, instants, groups=group, bounds=bounds), starts - 1)
        if self._asks_available(block):
            available = _microseconds(rows["available_time"])
            places = last_available(available, instants, places=places, starts=starts)
        return np.where(places >= starts, places, -1)


def _tasks(layer: Layer, first_keys: pa.Array) -> list[tuple[Part, int, int, int]]:
    """Per block that may have rows of the spine its part, its number, and which rows of the sorted spine those are."""
    tasks = []
    everything = range(len(first_keys))
    for part in layer.parts:
        for number, block in enumerate(part.blocks):
            start = bisect.bisect_left(everything, block.first, key=lambda row: first_keys[row].as_py())
            end = bisect.bisect_right(everything, block.last, key=lambda row: first_keys[row].as_py())
            if start < end:
                tasks.append((part, number, start, end))
    return tasks


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """In one piece; Arrow copies even what is in one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _microseconds(instants: pa.Array) -> Numbers:
    return instants.view(pa.int64()).to_numpy()


def _flags(rows: dict[str, pa.Array], block: Block) -> npt.NDArray[np.bool_]:
    if block.tombstones:
        return rows["is_tombstone"].to_numpy(zero_copy_only=False)
    return np.zeros(len(rows["event_time"]), dtype=bool)


def _taken(column: pa.Array, places: Numbers, feature: Feature) -> Values:
    """A feature of the picked rows, as readers get it."""
    if feature.type == "text":
        return column.take(pa.array(places))
    is_valid = column.is_valid().to_numpy(zero_copy_only=False)[places] if column.null_count else None
    if feature.type == "money":
        return _floats(_ten_thousandths(column)[places]), is_valid
    dtype = np.dtype("i8" if feature.type == "integer" else "f8")
    values = np.frombuffer(column.buffers()[1], dtype=dtype, count=len(column), offset=column.offset * dtype.itemsize)
    return values[places], is_valid


def _ten_thousandths(column: pa.Array) -> Numbers:
    """The lower halves of decimals of 128 bits; 18 digits fit into them."""
    halves = np.frombuffer(column.buffers()[1], dtype="i8", count=2 * len(column), offset=column.offset * 16)
    return halves[::2]


def _floats(ten_thousandths: Numbers) -> npt.NDArray[np.float64]:
    """The floats nearest to amounts, as Postgres gives them: one rounding, also where the whole number is no float."""
    floats = ten_thousandths / 10_000.0
    for place in np.flatnonzero((ten_thousandths > _EXACT) | (ten_thousandths < -_EXACT)):
        floats[place] = float(Decimal(int(ten_thousandths[place])).scaleb(-4))
    return floats
