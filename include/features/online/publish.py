"""Publish feature views from history to an online store."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from psycopg import Connection

from include.entities.window import NaiveTime, Window
from include.features.building.build import lock_view
from include.features.definitions.versions import ViewVersion, current_version
from include.features.definitions.view import FeatureView
from include.features.online.postgres import PostgresOnline
from include.features.online.store import OnlineStore
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
    if now.tzinfo is None:
        raise NaiveTime(f"`now` ({now.isoformat()}) has no time zone. Give one, for example datetime.now(UTC).")
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
        for view in wanted:
            own = published.get(str(view))
            details = {"published_through_seq": own.through_seq} if own else {"refused": list(refused[str(view)])}
            receipts[str(view)] = Receipt(
                step="publish",
                entity=str(view),
                window=window,
                received=own.received if own else 0,
                inserted=own.inserted if own else 0,
                updated=own.updated if own else 0,
                stale=own.received - own.inserted - own.updated if own else 0,
                details={"store": store.name, **details},
                seconds=seconds,
            )
            write_receipt(conn, receipts[str(view)], now=now)
    for view in wanted:
        if str(view) in refused:
            logger.warning("publish_%s store=%s refused: %s", view, store.name, "; ".join(refused[str(view)]))
        else:
            logger.info("%s store=%s", receipts[str(view)], store.name)
    return receipts


def _lock_store(conn: Connection, store: OnlineStore) -> None:
    """Wait until nobody else publishes to this store."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.features.online.' || %s, 0))", (store.name,))
