"""What a run does with the feature store: every version in use is built, and published if it is as is expected."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg import Connection

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.versions import ViewVersion, apply_view, current_version, versions_in_use
from include.features.definitions.view import FeatureView
from include.features.online.publish import IN_THE_WAREHOUSE, publish_online
from include.features.online.store import OnlineStore
from include.features.upkeep.statistics import failed_expectations
from include.warehouse.receipts import Receipt


def build_versions(conn: Connection, view: FeatureView, window: Window, *, now: datetime) -> list[Receipt]:
    """Build the view as it is defined now, and the older versions that are not retired: models still read them.

    :returns: the receipts, the current version's first. See `build_view` for what is raised.
    """
    current = apply_view(conn, view, now=now)
    return [build_view(conn, version, window, now=now) for version in (current, *_older(conn, current))]


def publish_checked(
    conn: Connection,
    views: Iterable[FeatureView],
    *,
    window: Window,
    now: datetime,
    store: OnlineStore = IN_THE_WAREHOUSE,
) -> dict[str, Receipt]:
    """Publish every version in use of the views whose newest snapshot is as is expected of it; history has all.

    :returns: by view, of older versions by `view@version`; the details of a view left out say what did not hold.
    """
    wanted: list[FeatureView | ViewVersion] = []
    refused: dict[str, list[str]] = {}
    for view in views:
        current = current_version(conn, view)
        versions: dict[FeatureView | ViewVersion, ViewVersion] = {view: current}
        versions |= {older: older for older in _older(conn, current)}
        for each, version in versions.items():
            wanted.append(each)
            if failed := failed_expectations(conn, version, now=now):
                refused[str(each)] = failed
    return publish_online(conn, wanted, window=window, now=now, store=store, refused=refused)


def _older(conn: Connection, current: ViewVersion) -> list[ViewVersion]:
    return [each for each in versions_in_use(conn, current.view.name) if each.version != current.version]
