"""Push: new orders and events reach the features of those whom they are about at once, in history and online."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

from psycopg import Connection

from include.entities.entity import Entity as RecordKind
from include.entities.events import EVENTS, Event
from include.entities.orders import ORDERS, Order
from include.entities.window import Window, refuse_naive
from include.features.definitions.entity import Entity
from include.features.definitions.versions import ViewVersion, versions_in_use
from include.features.history.writers import note_writer
from include.features.online.publish import IN_THE_WAREHOUSE
from include.features.online.push_facts import arrow_rows, keys_touched_by, lock_keys
from include.features.online.push_rows import newest_instant, want, write_rows
from include.features.online.store import OnlineStore
from include.features.registry import REGISTRY, Registry
from include.warehouse.receipts import Receipt
from include.warehouse.repository import PostgresRepository
from include.warehouse.upsert import lock_table

logger = logging.getLogger(__name__)

_KINDS: dict[type, RecordKind] = {Order: ORDERS, Event: EVENTS}
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class PushReceipt:
    """What a push did.

    :param at: the instant that the new feature rows are of.
    :param facts: the receipts of the records, step `push`.
    :param rows: feature rows written, by version of a view.
    """

    at: datetime
    facts: Sequence[Receipt]
    rows: dict[str, int]


def push(
    conn: Connection,
    records: Iterable[Order | Event],
    *,
    now: datetime,
    source: str = "push",
    registry: Registry = REGISTRY,
    copies: Sequence[OnlineStore] = (),
) -> PushReceipt:
    """Load records, and give exactly the keys that they touch feature rows of the instant `now`, in one transaction.

    The records are merged as a load merges them: newer versions win, and what is known already changes nothing, so that
    a push can be repeated. Rows are computed by the views' own queries for all views that read what changed, but for
    ranked ones, which compare everybody. They go into history (event, available and ingested time are the instant) and
    into the warehouse's online tables, where newer rows win. So online and history agree on every later instant. A fact
    is felt at an instant after it, never at its own. The next build takes its snapshots as if nothing had been pushed,
    and repairs pushed rows whose facts came later still.

    A push waits for loads of the same records and for pushes of the same keys, not for builds. A publication that has
    rewritten one of the keys is waited for too.

    :param now: when this happens. Where a key has a newer row, the instant is the next one after it; at midnight, which
        belongs to builds, the next microsecond.
    :param source: kept with the records.
    :param copies: other online stores, which take the rows once they are committed. If one of them cannot be reached,
        the error is raised, the push stands, and the store's next publication brings the rows.
    :raises NaiveTime: `now` has no time zone; nothing was written.
    :raises PushRefused: a record breaks a rule of its entity; nothing was written.
    """
    started = time.monotonic()
    refuse_naive(now=now)
    by_kind: dict[str, list[Order | Event]] = {}
    for record in records:
        by_kind.setdefault(_KINDS[type(record)].name, []).append(record)
    kinds = sorted((kind for kind in _KINDS.values() if kind.name in by_kind), key=lambda kind: kind.name)
    rows = {kind.name: arrow_rows(kind, by_kind[kind.name]) for kind in kinds}
    with conn.transaction():
        conn.execute("SET LOCAL timezone = 'UTC'; SET LOCAL client_min_messages = warning")
        note_writer(conn)
        for kind in kinds:
            lock_table(conn, kind)
        lock_keys(conn, orders=by_kind.get(ORDERS.name, ()), events=by_kind.get(EVENTS.name, ()))
        facts: list[Receipt] = []
        for kind in kinds:
            own, lines = rows[kind.name]
            facts += PostgresRepository(conn).upsert(
                kind, own, child_rows=lines, window=Window(now, now + _MICROSECOND), source=source, now=now, step="push"
            )
        at, written = _write_features(conn, registry, now=now)
        IN_THE_WAREHOUSE.push(conn, [(version, at) for version in written])
    for store in copies:
        with conn.transaction():
            store.push(conn, [(version, at) for version in written])
    receipt = PushReceipt(at=at, facts=facts, rows={str(version): count for version, count in written.items()})
    logger.info(
        "push at=%s %s rows=%d seconds=%.3f", at.isoformat(),
        " ".join(f"{fact.entity}={fact.inserted + fact.updated}/{fact.received}" for fact in facts),
        sum(receipt.rows.values()), time.monotonic() - started,
    )  # fmt: skip
    return receipt


def _write_features(conn: Connection, registry: Registry, *, now: datetime) -> tuple[datetime, dict[ViewVersion, int]]:
    """New rows of all touched keys at one instant, view by view in the order in which publications take them.

    Versions that models still read get theirs too; a view that was never built has none.
    """
    wanted: list[tuple[ViewVersion, list[tuple]]] = []
    touched: dict[Entity, dict[str, list[tuple]]] = {}
    versions = [version for name in registry.views for version in versions_in_use(conn, name)]
    for version in sorted(versions, key=str):
        view = version.view
        if view.entity not in touched:
            touched[view.entity] = keys_touched_by(conn, view.entity)
        keys = sorted({key for relation in view.reads for key in touched[view.entity].get(relation, ())})
        if keys and not view.is_ranked:
            wanted.append((version, keys))
    at = _instant(max([now, *(newest_instant(conn, version, keys) + _MICROSECOND for version, keys in wanted)]))
    written = {}
    for version, keys in wanted:
        want(conn, version, keys, at=at)
        written[version] = write_rows(conn, version, at=at)
    return at, written


def _instant(at: datetime) -> datetime:
    at = at.astimezone(UTC)
    return at + _MICROSECOND if at.time() == time_of_day(0) else at
