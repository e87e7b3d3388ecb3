"""Which snapshots a window owns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from include.entities.window import Window

_DAY = timedelta(days=1)


def snapshots_of(window: Window) -> list[datetime]:
    """The midnights (UTC) that a run over `window` takes features at: every t with `start < t <= end`.

    The run of a day takes the midnight that ends it, when all facts of that day are loaded. So windows side by side
    share no snapshot and leave none out.
    """
    first = datetime.combine(window.start.date(), datetime.min.time(), UTC) + _DAY
    return [first + _DAY * number for number in range((window.end - first) // _DAY + 1)]
