"""What every online store does: it holds the newest row of each key, and readers see publications whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from psycopg import Connection

from include.features.definitions.versions import ViewVersion

Pushed = Sequence[tuple[ViewVersion, datetime]]
"""Versions of views, and at which instant rows were pushed into their history."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one publication did with a view.

    :param received: keys with news in the history.
    :param through_seq: what builds up to this one wrote is in the store.
    """

    received: int
    inserted: int
    updated: int
    through_seq: int


class OnlineStore(Protocol):
    """Where the newest row of each key is kept for readers.

    A row is written only where its `(event_time, available_time, seq)` is greater than that of the row there, so that
    neither old windows nor late publications overwrite what is newer.
    """

    @property
    def name(self) -> str:
        """A word for receipts and log lines."""
        ...

    def publish(self, conn: Connection, versions: Sequence[ViewVersion], *, now: datetime) -> list[Published]:
        """Bring the store up to what history holds, whole for all versions or, if it fails, for none.

        Taken is what was written since this store's last publication, whatever its event time.

        :param conn: in a transaction that holds the locks of the views and of the store.
        :returns: one per version.
        """
        ...

    def push(self, conn: Connection, pushed: Pushed) -> None:
        """Take the rows that history has at the pushed instants, all at once.

        :param conn: in a transaction that sees them.
        """
        ...
