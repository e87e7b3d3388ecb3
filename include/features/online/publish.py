"""Publish feature views from history to an online store."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from psycopg import Connection

from include.entities.window import Window, refuse_naive
from include.features.building.build import lock_view
from include.features.definitions.versions import ViewVersion, current_version
from include.features.definitions.view import FeatureView
from include.features.online.postgres import PostgresOnline
from include.features.online.store import OnlineStore, Published
from include.warehouse.receipts import Receipt, write_receipt

logger = logging.getLogger(__name__)

NOBODY: Mapping[str, Sequence[str]] = MappingProxyType({})
IN_THE_WAREHOUSE = PostgresOnline()


def publish_online(
    conn: Connection,
    views: Iterable[FeatureView | ViewVersion],
    *,
    window: Window,
    now: datetime,
    store: OnlineStore = IN_THE_WAREHOUSE,
    refused: Mapping[str, Sequence[str]] = NOBODY,
) -> dict[str, Receipt]:
    """Bring an online store up to what the history of the views holds, in one transaction for all of them.

    Taken from history is what was written since the store's last publication, whatever its event time: late rows
    arrive, and old windows never overwrite, because a row is written only where its `(event_time, available_time, seq)`
    is greater than the one there. A reader sees all of it or nothing. Builds and publications of one view wait for each
    other; readers and pushes of other keys do not wait.

    :param window: the run's window, for the receipts only; what is published does not depend on it.
    :param views: definitions, which mean their current versions, or versions that models still read.
    :param refused: by name (of a version: `view@2`) the views that must not be published, with the reasons: their
        expectations failed. The store keeps what it has of them, and what was held back is published once nothing
        refuses it.
    :returns: by name received (keys with news) = inserted + updated + stale (the online row is newer).
    :raises UnknownVersion: a view as it is defined now was never built; nothing was published.
    """
    started = time.monotonic()
    refuse_naive(now=now)
    wanted = list(views)
    receipts = {}
    with conn.transaction():
        _lock_store(conn, store)
        accepted = [view for view in wanted if str(view) not in refused]
        versions = {
            view if isinstance(view, ViewVersion) else current_version(conn, view): str(view) for view in accepted
        }
        ordered = sorted(versions, key=str)  # As pushes do it, so that the two never wait for each other in a ring.
        for version in ordered:
            lock_view(conn, version.view)
        done = store.publish(conn, ordered, now=now)
        published = {versions[version]: own for version, own in zip(ordered, done, strict=True)}
        seconds = time.monotonic() - started
        for name in map(str, wanted):
            own = published.get(name) or Published(0, 0, 0, 0)
            told = {"published_through_seq": own.through_seq} if name in published else {"refused": list(refused[name])}
            receipts[name] = Receipt(
                step="publish",
                entity=name,
                window=window,
                received=own.received,
                inserted=own.inserted,
                updated=own.updated,
                stale=own.received - own.inserted - own.updated,
                details={"store": store.name, **told},
                seconds=seconds,
            )
            write_receipt(conn, receipts[name], now=now)
    for name, receipt in receipts.items():
        if name in refused:
            logger.warning("publish_%s store=%s refused: %s", name, store.name, "; ".join(refused[name]))
        else:
            logger.info("%s store=%s", receipt, store.name)
    return receipts


def _lock_store(conn: Connection, store: OnlineStore) -> None:
    """Wait until nobody else publishes to this store."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.features.online.' || %s, 0))", (store.name,))
