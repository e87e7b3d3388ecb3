"""Which snapshots a window owns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from include.entities.window import Window
from include.features.definitions.view import Cadence

_DAY = timedelta(days=1)


def snapshots_of(window: Window, *, cadence: Cadence = "daily") -> list[datetime]:
    """The midnights (UTC) that a run over `window` takes features at: every t of the cadence with `start < t <= end`.

    The run of a day takes the midnight that ends it, when all facts of that day are loaded. So windows side by side
    share no snapshot and leave none out.

    :param cadence: every midnight, Mondays' only, or only those of the first of a month.
    """
    first = datetime.combine(window.start.date(), datetime.min.time(), UTC) + _DAY
    midnights = [first + _DAY * number for number in range((window.end - first) // _DAY + 1)]
    return [
        midnight
        for midnight in midnights
        if cadence == "daily"
        or (cadence == "weekly" and midnight.weekday() == 0)
        or (cadence == "monthly" and midnight.day == 1)
    ]
