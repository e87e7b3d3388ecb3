"""The online store of a feature view: the newest row of each key, published from history and read by key."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row

from include.entities.window import NaiveTime, Window
from include.features.build import lock_view
from include.features.selection import PRESENT, Selection, feature_expressions, selections_of, status_expression
from include.features.versions import current_version
from include.features.view import FeatureView
from include.warehouse.receipts import Receipt, write_receipt

logger = logging.getLogger(__name__)

_PUBLISH = """
WITH newest AS (
    SELECT DISTINCT ON ({key}) *
    FROM {history}
    WHERE seq > %(published_seq)s
    ORDER BY {key}, event_time DESC, available_time DESC, seq DESC
),

written AS (
    INSERT INTO {online} AS online ({key}, event_time, available_time, ingested_at, seq, is_tombstone, {features})
    SELECT {key}, event_time, available_time, ingested_at, seq, is_tombstone, {features} FROM newest
    ON CONFLICT ({key}) DO UPDATE SET
        (event_time, available_time, ingested_at, seq, is_tombstone, {features})
        = ROW(excluded.event_time, excluded.available_time, excluded.ingested_at, excluded.seq, excluded.is_tombstone,
            {excluded_features})
    WHERE
        (excluded.event_time, excluded.available_time, excluded.seq)
        > (online.event_time, online.available_time, online.seq)
    RETURNING OLD.{key} IS NULL AS is_new
)

SELECT
    (SELECT count(*) FROM newest),
    count(*) FILTER (WHERE is_new),
    count(*) FILTER (WHERE NOT is_new)
FROM written
"""


def publish_online(conn: Connection, view: FeatureView, *, window: Window, now: datetime) -> Receipt:
    """Bring the online table of `view` up to what its history holds, in one transaction.

    Taken from history is what was written since the last publication, whatever its event time: late rows arrive, and
    old windows never overwrite, because a row is written only where its `(event_time, available_time, seq)` is
    greater than the one there.

    Afterwards `online_features(key, at=T)` equals `historical_features` at T, bit for bit, until the next build writes,
    for every T from this publication on (exactly: from the greatest `event_time` and `available_time` in the history
    on, both of which had passed when their rows were written). For earlier T the online store answers `not found`
    where the key's newest row was not known by then; it never answers with what came later.

    :param window: the run's window, for the receipt only; what is published does not depend on it.
    :returns: received (keys with news) = inserted + updated + stale (the online row is newer).
    """
    started = time.monotonic()
    if now.tzinfo is None:
        raise NaiveTime(f"`now` ({now.isoformat()}) has no time zone. Give one, for example datetime.now(UTC).")
    version = current_version(conn, view)
    names = [sql.Identifier(name) for name in view.feature_names]
    statement = sql.SQL(_PUBLISH).format(
        key=version.keys,
        history=version.history,
        online=version.online,
        features=sql.SQL(", ").join(names),
        excluded_features=sql.SQL(", ").join(sql.SQL("excluded.{}").format(name) for name in names),
    )
    with conn.transaction():
        lock_view(conn, view)
        conn.execute("SET LOCAL work_mem = '128MB'")
        state = conn.execute(
            "SELECT last_seq, published_seq FROM features.view_versions WHERE view_name = %s AND version = %s",
            (view.name, version.version),
        ).fetchone()
        last_seq, published_seq = state or (0, 0)
        received, inserted, updated = conn.execute(statement, {"published_seq": published_seq}).fetchone() or (0, 0, 0)
        if last_seq > published_seq:
            conn.execute(
                """
                UPDATE features.view_versions SET published_seq = %s, published_at = %s
                WHERE view_name = %s AND version = %s
                """,
                (last_seq, now, view.name, version.version),
            )
        receipt = Receipt(
            step="publish",
            entity=view.name,
            window=window,
            received=received,
            inserted=inserted,
            updated=updated,
            stale=received - inserted - updated,
            details={"published_through_seq": last_seq},
            seconds=time.monotonic() - started,
        )
        write_receipt(conn, receipt, now=now)
    logger.info("%s", receipt)
    return receipt


def online_features(
    conn: Connection, features: Sequence[FeatureView | str], keys: Sequence[int | None], *, at: datetime
) -> list[dict[str, Any]]:
    """The features of each key as known at `at`, from the online store.

    The rules are those of `historical_features` with T = `at`, TTL included; see `publish_online` for when they agree.

    :param features: views, names of views, or `view:feature`.
    :param keys: in any order, duplicates and None (never found) allowed.
    :returns: one mapping per key, in order: `key`, then per view its features and `<view>_status`.
    :raises NaiveTime: `at` has no time zone.
    :raises TypeError: a key is not an integer.
    """
    if at.tzinfo is None:
        raise NaiveTime(f"`at` ({at.isoformat()}) has no time zone. Give one, for example datetime.now(UTC).")
    bad = [key for key in keys if key is not None and (isinstance(key, bool) or not isinstance(key, int))]
    if bad:
        raise TypeError(f"Keys are integers; these are not: {bad[:5]!r}.")
    rows: list[dict[str, Any]] = [{"key": key} for key in keys]
    with conn.transaction():
        for selection in selections_of(conn, features):
            for row, found in zip(rows, _read(conn, selection, keys, at=at), strict=True):
                if found[selection.status_column] != PRESENT:
                    found |= {feature.name: None for feature in selection.features}
                row |= {name: found[name] for name in selection.columns}
    return rows


def _read(conn: Connection, selection: Selection, keys: Sequence[int | None], *, at: datetime) -> list[dict[str, Any]]:
    view, version = selection.view, selection.version
    query = sql.SQL(
        """
        SELECT {features}, {status} AS {status_column}
        FROM unnest(%(keys)s::bigint[]) WITH ORDINALITY AS asked (entity_key, position)
        LEFT JOIN {online} AS online
            ON online.{key} = asked.entity_key AND online.event_time <= %(at)s AND online.available_time <= %(at)s
        ORDER BY asked.position
        """
    ).format(
        features=feature_expressions(selection, table="online"),
        status=status_expression(table="online", at=sql.SQL("%(at)s::timestamptz")),
        status_column=sql.Identifier(selection.status_column),
        online=version.online,
        key=version.keys,
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"keys": list(keys), "at": at, "ttl": view.ttl}).fetchall()
