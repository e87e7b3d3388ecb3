"""Online stores for tests, and what they must answer: picked from history row by row in plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
from psycopg import Connection, sql

from include.entities.window import Window
from include.features.definitions.versions import ViewVersion, current_version
from include.features.definitions.view import FeatureView
from include.features.online.postgres import PostgresOnline
from include.features.online.publish import publish_online
from include.features.online.reads import OnlineFeatures
from include.features.online.redis_store import RedisOnline
from include.features.online.store import OnlineStore
from include.features.registry import REGISTRY, Registry
from include.warehouse.receipts import Receipt

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


@dataclass
class Online:
    """One store and a reader of it."""

    store: OnlineStore
    dsn: str
    client: redis.Redis | None
    registry: Registry = REGISTRY
    _reader: OnlineFeatures | None = None

    @property
    def reader(self) -> OnlineFeatures:
        if self._reader is None:
            self._reader = OnlineFeatures(self.dsn, registry=self.registry, redis_client=self.client)
        return self._reader

    def publish(
        self, conn: Connection, views: Iterable[FeatureView] | None = None, *, now: datetime
    ) -> dict[str, Receipt]:
        chosen = list(self.registry.views.values()) if views is None else list(views)
        receipts = publish_online(conn, chosen, window=Window(now - DAY, now), now=now, store=self.store)
        conn.commit()
        return receipts

    def read(
        self, keys: Sequence[Mapping[str, Any]], *, at: datetime, features: Sequence[str] | None = None
    ) -> dict[str, list]:
        wanted = list(self.registry.views) if features is None else features
        return self.reader.get_online_features(wanted, keys, at=at).to_dict(
            include_event_timestamps=True, include_statuses=True
        )

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def in_postgres(dsn: str) -> Online:
    return Online(PostgresOnline(), dsn, None)


def in_redis(dsn: str, url: str, *, is_empty: bool = True) -> Online:
    client = redis.Redis.from_url(url)
    if is_empty:
        client.flushall()
    return Online(RedisOnline(client), dsn, client)


class History:
    """All rows of the current versions of some views, read once."""

    def __init__(self, conn: Connection, views: Iterable[FeatureView]) -> None:
        self.views = list(views)
        self._rows = {view.name: _rows_by_key(conn, current_version(conn, view)) for view in self.views}
        conn.commit()

    def instants(self, view: FeatureView) -> set[datetime]:
        """Every event and available time."""
        return {instant for rows in self._rows[view.name].values() for row in rows for instant in row["order"][:2]}

    def online(self, keys: Sequence[Mapping[str, Any]], *, at: datetime) -> dict[str, list]:
        """What the store must answer, in the shape of `to_dict` with timestamps and statuses."""
        found: dict[str, list] = {}
        for view in self.views:
            for name in view.entity.key_names:
                found[name] = [key[name] for key in keys]
        for view in self.views:
            picked = [self._pick(view, key, at=at) for key in keys]
            for name in view.feature_names:
                found[name] = [row[name] if status == "present" else None for row, status in picked]
                found[f"{name}__ts"] = [None if status == "not found" else row["order"][0] for row, status in picked]
                found[f"{name}__status"] = [
                    "null" if status == "present" and row[name] is None else status for row, status in picked
                ]
        return found

    def _pick(self, view: FeatureView, key: Mapping[str, Any], *, at: datetime) -> tuple[dict[str, Any], str]:
        best: dict[str, Any] | None = None
        for row in self._rows[view.name].get(tuple(key[name] for name in view.entity.key_names), ()):
            event_time, available_time, _ = row["order"]
            if event_time <= at and available_time <= at and (best is None or row["order"] > best["order"]):
                best = row
        if best is None or best["is_tombstone"]:
            return {}, "not found"
        is_expired = view.ttl is not None and at - best["order"][0] > view.ttl
        return best, "outside ttl" if is_expired else "present"


def _rows_by_key(conn: Connection, version: ViewVersion) -> dict[tuple, list[dict[str, Any]]]:
    """Money as the float that is nearest to its digits."""
    view = version.view
    columns = [*view.entity.key_names, "event_time", "available_time", "seq", "is_tombstone", *view.feature_names]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(map(sql.Identifier, columns)), version.history)
    rows: dict[tuple, list[dict[str, Any]]] = {}
    for values in conn.execute(query, binary=True):
        row = dict(zip(columns, values, strict=True))
        for feature in view.features:
            if feature.type == "money" and row[feature.name] is not None:
                row[feature.name] = float(str(row[feature.name]))
        row["order"] = (row["event_time"], row["available_time"], row["seq"])
        rows.setdefault(tuple(row[name] for name in view.entity.key_names), []).append(row)
    return rows


def bits(answer: Mapping[str, list]) -> dict[str, list]:
    """Values that are equal only if they are of one type and of the same bits."""
    return {
        name: [value.hex() if isinstance(value, float) else (type(value).__name__, value) for value in values]
        for name, values in answer.items()
    }


def edges(history: History, *, since: datetime) -> list[datetime]:
    """Instants from `since` on at which an answer may change: it, later, and both sides of where a TTL runs out."""
    found = {since, since + MICROSECOND, since + DAY}
    for view in history.views:
        if view.ttl is not None:
            for instant in history.instants(view):
                found |= {instant + view.ttl + step for step in (-MICROSECOND, timedelta(0), MICROSECOND)}
    return sorted(instant for instant in found if instant >= since)


def newest_midnights(conn: Connection, view: FeatureView) -> list[tuple]:
    """The newest version of each row at a midnight, as text."""
    version = current_version(conn, view)
    return conn.execute(
        sql.SQL(
            """
            SELECT {keys}, event_time::text, ({features})::text FROM (
                SELECT DISTINCT ON ({keys}, event_time) * FROM {history}
                WHERE date_trunc('day', event_time, 'UTC') = event_time
                ORDER BY {keys}, event_time, available_time DESC, seq DESC
            ) AS newest WHERE NOT is_tombstone ORDER BY {keys}, event_time
            """
        ).format(keys=version.keys, features=version.features, history=version.history)
    ).fetchall()
