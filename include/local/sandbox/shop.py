"""What stands behind the APIs: records in versions, an event stream, and the shop's clock.

A record's versions are kept with the instant of each, so that a request sees every record as it was
at the clock's instant and nothing newer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.local.sandbox.instants import FOREVER

Instants = NDArray[np.int64]
KEPT = 30_000


class Collection:
    """Records of one kind, each in one or more versions.

    :param keys: the record's id, one entry per version, as all the others.
    :param created: instant of the record's creation.
    :param modified: instant of this version.
    :param items: what goes on the wire; asked for by position only when it is served.
    :param statuses: status of this version, for kinds that have one.
    :param parents: id of the parent, for kinds that have one.
    :param sort_names: what `orderby=name` sorts by, for kinds that can.
    """

    def __init__(
        self,
        *,
        keys: Sequence[int] | Instants,
        created: Sequence[int] | Instants,
        modified: Sequence[int] | Instants,
        items: Sequence[Any],
        statuses: Sequence[str] | None = None,
        parents: Sequence[int] | Instants | None = None,
        sort_names: Sequence[str] | None = None,
    ) -> None:
        self.keys = np.asarray(keys, dtype=np.int64)
        self.created = np.asarray(created, dtype=np.int64)
        self.modified = np.asarray(modified, dtype=np.int64)
        self.statuses = np.asarray([""] * len(self.keys) if statuses is None else statuses, dtype=object)
        self.parents = np.asarray([0] * len(self.keys) if parents is None else parents, dtype=np.int64)
        self.sort_names = np.asarray([""] * len(self.keys) if sort_names is None else sort_names, dtype=str)
        self._items = items
        self._edited: list[Any] = []
        self._removed: dict[int, int] = {}
        self._encoded: dict[int, bytes] = {}
        self._selected: dict[Hashable, NDArray[np.int64]] = {}
        self._superseded = self._instants_of_next_versions()

    def __len__(self) -> int:
        """Number of records, each counted once however many versions it has."""
        return len(np.unique(self.keys))

    def item(self, position: int) -> Any:
        """What goes on the wire for the version at `position`."""
        known = len(self._items)
        return self._items[position] if position < known else self._edited[position - known]

    def encoded(self, position: int, encode: Callable[[Any], bytes]) -> bytes:
        """The same, as `encode` writes it; the last `KEPT` are kept, since making one takes longer than sending it."""
        if position not in self._encoded:
            if len(self._encoded) >= KEPT:
                del self._encoded[next(iter(self._encoded))]
            self._encoded[position] = encode(self.item(position))
        return self._encoded[position]

    def selected(self, asked: Hashable, select: Callable[[], NDArray[np.int64]]) -> NDArray[np.int64]:
        """What `select` gives for what is asked; kept until another thing is asked or a record changes."""
        if asked not in self._selected:
            self._selected = {asked: select()}
        return self._selected[asked]

    def visible(self, now: int) -> NDArray[np.bool_]:
        """Marks, for each version, whether it is the newest one at `now`."""
        return (self.modified <= now) & (self._superseded > now)

    def find(self, key: int, *, now: int) -> Any | None:
        """The record's newest version at `now`, or None if there was none."""
        positions = np.flatnonzero((self.keys == key) & self.visible(now))
        return self.item(int(positions[-1])) if len(positions) else None

    def add_version(self, key: int, *, modified: int, item: Any, status: str) -> None:
        """Add a newer version of a known record.

        :raises KeyError: no such record.
        """
        last = self._last(key)
        self._append(key, like=last, created=int(self.created[last]), modified=modified, item=item, status=status)

    def add_copy(self, key: int, *, of: int, created: int, item: Any) -> None:
        """Add a record under a key of its own, which for the rest is like another.

        :raises KeyError: there is no such other record.
        """
        like = self._last(of)
        self._append(key, like=like, created=created, modified=created, item=item, status=str(self.statuses[like]))

    def remove(self, key: int, *, now: int) -> None:
        """From `now` on there is no such record.

        :raises KeyError: there was none.
        """
        self._last(key)
        self._removed[key] = now
        self._superseded = self._instants_of_next_versions()

    def _last(self, key: int) -> int:
        positions = np.flatnonzero(self.keys == key)
        if not len(positions):
            raise KeyError(key)
        return int(positions[-1])

    def _append(self, key: int, *, like: int, created: int, modified: int, item: Any, status: str) -> None:
        for name, value in (
            ("keys", key),
            ("created", created),
            ("modified", modified),
            ("statuses", status),
            ("parents", self.parents[like]),
            ("sort_names", self.sort_names[like]),
        ):
            column = getattr(self, name)
            setattr(self, name, np.append(column, np.asarray([value], dtype=column.dtype)))
        self._edited.append(item)
        self._superseded = self._instants_of_next_versions()

    def forget_edits(self) -> None:
        """Undo every addition, version and removal."""
        for name in ("keys", "created", "modified", "statuses", "parents", "sort_names"):
            setattr(self, name, getattr(self, name)[: len(self._items)])
        self._edited.clear()
        self._encoded.clear()
        self._removed.clear()
        self._superseded = self._instants_of_next_versions()

    def _instants_of_next_versions(self) -> Instants:
        self._selected = {}
        order = np.lexsort((np.arange(len(self.keys)), self.modified, self.keys))
        following = np.full(len(order), FOREVER, dtype=np.int64)
        same_record = self.keys[order][1:] == self.keys[order][:-1]
        following[order[:-1][same_record]] = self.modified[order[1:][same_record]]
        for key, instant in self._removed.items():
            following[self.keys == key] = np.minimum(following[self.keys == key], instant)
        return following


class EventStream:
    """Events ordered by (received at, message id), each as its encoded JSON line.

    :param received: milliseconds since 1970 in UTC.
    """

    def __init__(self, *, received: Sequence[int], message_ids: Sequence[str], lines: Sequence[bytes]) -> None:
        order = sorted(range(len(lines)), key=lambda position: (received[position], message_ids[position]))
        self.received = np.asarray([received[position] for position in order], dtype=np.int64)
        self.message_ids = [message_ids[position] for position in order]
        self.lines = [lines[position] for position in order]

    def __len__(self) -> int:
        return len(self.lines)


@dataclass
class Shop:
    """Everything one sandbox serves. The range `[start, end)` is whole UTC days and holds all of its data.

    :param now: the clock's instant; the end of the range unless told otherwise.
    :param utc_offset: seconds by which the shop's own time zone is ahead of UTC.
    """

    kind: str
    currency: str
    start: int
    end: int
    orders: Collection
    refunds: Collection
    customers: Collection
    products: Collection
    events: EventStream
    counts: dict[str, int] = field(default_factory=dict)
    now: int = 0
    utc_offset: int = 0

    def __post_init__(self) -> None:
        self.now = self.now or self.end
