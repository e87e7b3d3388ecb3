"""Which snapshots of a view exist, and what a build would do before it does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from include.entities.window import Window
from include.features.building.plan import plan_everyone, plan_touched
from include.features.building.touches import read_touches
from include.features.definitions.snapshots import snapshots_of
from include.features.definitions.versions import ViewVersion, current_version
from include.features.definitions.view import FeatureView


@dataclass(frozen=True, slots=True)
class Coverage:
    """What history has of a window.

    :param built: snapshots that were built and are there.
    :param thinned: those that the retention policy removed.
    :param missing: those of the view's cadence that were never built.
    :param newest: the newest snapshot of all, whatever the window.
    """

    version: ViewVersion
    built: list[datetime]
    thinned: list[datetime]
    missing: list[datetime]
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class BuildPreview:
    """What a build over a window would take, if it ran now.

    :param missing: snapshots that it would build for the first time.
    :param stale: snapshots built before with rows that it would take again, the two numbers together.
    :param stale_snapshots: of how many of them it would take all keys.
    :param stale_pairs: how many single pairs of key and snapshot it would take besides.
    """

    missing: list[datetime]
    stale: list[datetime]
    stale_snapshots: int
    stale_pairs: int


def coverage_of(conn: Connection, view: FeatureView, window: Window) -> Coverage:
    """Which of the snapshots that a window owns exist.

    :raises UnknownVersion: the view as it is defined now was never applied.
    """
    version = current_version(conn, view)
    rows = conn.execute(
        """
        SELECT event_time, thinned_at IS NOT NULL FROM features.built_snapshots
        WHERE view_name = %s AND version = %s AND NOT is_partial ORDER BY event_time
        """,
        (view.name, version.version),
    ).fetchall()
    wanted = snapshots_of(window, cadence=view.cadence)
    known: dict[datetime, bool] = dict(rows)
    return Coverage(
        version=version,
        built=[at for at in wanted if known.get(at) is False],
        thinned=[at for at in wanted if known.get(at) is True],
        missing=[at for at in wanted if at not in known],
        newest=max((at for at, is_thinned in rows if not is_thinned), default=None),
    )


def preview_build(conn: Connection, view: FeatureView, window: Window) -> BuildPreview:
    """What `build_view` would take over a window: its own plan is made, and taken back. Nothing is written.

    :raises UnknownVersion: the view as it is defined now was never applied.
    """
    version = current_version(conn, view)
    with conn.transaction(force_rollback=True):
        read_touches(conn, version)
        wanted = snapshots_of(window, cadence=view.cadence)
        missing, stale = plan_everyone(conn, version, wanted=wanted, rebuild=False)
        pairs = plan_touched(conn, version)
        rows = conn.execute(
            "SELECT snapshot_at FROM planned WHERE NOT is_first_build UNION SELECT snapshot_at FROM pairs ORDER BY 1"
        ).fetchall()
    return BuildPreview(missing, [row[0] for row in rows], stale_snapshots=stale, stale_pairs=pairs)
