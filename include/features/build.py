"""Build a feature view's history: new snapshots, and repairs of old ones where facts came late."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection, sql

from include.entities.window import NaiveTime, Window
from include.features.snapshots import snapshots_of
from include.features.view import FeatureView
from include.warehouse.receipts import Receipt, write_receipt

logger = logging.getLogger(__name__)


class SnapshotInFuture(ValueError):
    """A snapshot was asked for before it can be known."""


def build_view(conn: Connection, view: FeatureView, window: Window, *, now: datetime) -> Receipt:
    """Bring the history of `view` up to date for the snapshots of `window`, in one transaction and one pass.

    The snapshots are those that the window owns and, beside them, all earlier built ones that are stale: those after
    the oldest fact touched by a load (upsert receipt) that this view has not taken in yet. Rows are only ever added:

    * a snapshot that was never built: its rows, with `available_time = event_time + lag`;
    * a row that differs from the newest version, or appears in a snapshot built earlier: a correction, and where a
      row is no longer produced a tombstone, both with `available_time = ingested_at`;
    * an identical row: nothing.

    Doing it again writes nothing but a receipt. Builds and publications of one view wait for each other.

    :param now: when this happens, with a time zone. Where a colleague's clock was ahead, its later time is kept, so
        that corrections stay in their order.
    :returns: received = inserted (first versions) + updated (corrections and tombstones) + unchanged.
    :raises SnapshotInFuture: the window has snapshots whose time plus lag is after `now`; nothing was written.
    """
    started = time.monotonic()
    wanted = snapshots_of(window)
    _refuse_future(view, wanted, window=window, now=now)
    with conn.transaction():
        _prepare_session(conn)
        seq, written_at = _open_build(conn, view, now=now)
        receipt_ids, stale_after = _unconsumed_receipts(conn, view)
        _choose_snapshots(conn, view, wanted=wanted, stale_after=stale_after)
        _compute(conn, view)
        written = _write(conn, view, seq=seq, written_at=written_at)
        snapshot_counts = _close_build(conn, view, seq=seq, written_at=written_at, written=written)
        _consume(conn, view, receipt_ids)
        receipt = Receipt(
            step="build",
            entity=view.name,
            window=window,
            received=written.received,
            inserted=written.first_builds,
            updated=written.corrections,
            unchanged=written.received - written.first_builds - written.corrections,
            details={"tombstones": written.tombstones, "receipts_consumed": len(receipt_ids), **snapshot_counts},
            seconds=time.monotonic() - started,
        )
        write_receipt(conn, receipt, now=written_at)
    logger.info("%s", receipt)
    return receipt


def lock_view(conn: Connection, view: FeatureView) -> None:
    """Wait until nobody else builds or publishes `view`; held until the transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.features.' || %s, 0))", (view.name,))


def _refuse_future(view: FeatureView, wanted: list[datetime], *, window: Window, now: datetime) -> None:
    if now.tzinfo is None:
        raise NaiveTime(f"`now` ({now.isoformat()}) has no time zone. Give one, for example datetime.now(UTC).")
    if wanted and wanted[-1] + view.lag > now:
        raise SnapshotInFuture(
            f"The features of {view} at {wanted[-1].isoformat()} cannot be known before "
            f"{(wanted[-1] + view.lag).isoformat()}, and it is {now.astimezone(UTC).isoformat()}. Nothing was built. "
            f"Give the window {window} an end that has passed."
        )


def _prepare_session(conn: Connection) -> None:
    """Days are 24 hours in UTC, whatever the session was set to; sorts of a year fit into memory."""
    conn.execute("SET LOCAL timezone = 'UTC'; SET LOCAL work_mem = '128MB'; SET LOCAL client_min_messages = warning")


def _open_build(conn: Connection, view: FeatureView, *, now: datetime) -> tuple[int, datetime]:
    """Lock the view and give this build's number and its time, which never runs backwards."""
    lock_view(conn, view)
    conn.execute("INSERT INTO features.view_states (view_name) VALUES (%s) ON CONFLICT DO NOTHING", (view.name,))
    row = conn.execute(
        "SELECT last_seq + 1, greatest(last_ingested_at, %s) FROM features.view_states WHERE view_name = %s",
        (now, view.name),
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _unconsumed_receipts(conn: Connection, view: FeatureView) -> tuple[list[int], datetime | None]:
    """Loads that changed something and that this view has not taken in, and the oldest instant they touched.

    They are asked for by identity, not by a highest number seen: a load that began early may commit late. They are
    read before the facts, so that a load which commits in between is met again by the next build.
    """
    rows = conn.execute(
        """
        SELECT receipts.receipt_id, receipts.oldest_event_at
        FROM ops.receipts
        WHERE
            receipts.step = 'upsert' AND receipts.entity = ANY(%(reads)s) AND receipts.oldest_event_at IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM features.consumed_receipts AS consumed
                WHERE consumed.view_name = %(view)s AND consumed.receipt_id = receipts.receipt_id
            )
        """,
        {"reads": list(view.reads), "view": view.name},
    ).fetchall()
    return [row[0] for row in rows], min((row[1] for row in rows), default=None)


def _choose_snapshots(
    conn: Connection, view: FeatureView, *, wanted: list[datetime], stale_after: datetime | None
) -> None:
    """Make the relation `snapshots` that the view's query reads, and note which of them were built before."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.computed")
    conn.execute(
        """
        CREATE TEMPORARY TABLE snapshots ON COMMIT DROP AS
        SELECT candidates.snapshot_at, built.event_time IS NULL AS is_first_build
        FROM (
            SELECT unnest(%(wanted)s::timestamptz[]) AS snapshot_at
            UNION
            SELECT event_time FROM features.built_snapshots
            WHERE view_name = %(view)s AND event_time > %(stale_after)s::timestamptz
        ) AS candidates
        LEFT JOIN features.built_snapshots AS built
            ON built.view_name = %(view)s AND built.event_time = candidates.snapshot_at
        """,
        {"wanted": wanted, "view": view.name, "stale_after": stale_after},
    )
    conn.execute("ANALYZE snapshots")


def _compute(conn: Connection, view: FeatureView) -> None:
    conn.execute(sql.SQL("CREATE TEMPORARY TABLE computed ON COMMIT DROP AS {}").format(sql.SQL(view.query)))
    conn.execute("ANALYZE computed")


_ADD_FIRST_BUILDS = """
INSERT INTO {history} ({key}, event_time, available_time, ingested_at, seq, is_tombstone, {features})
SELECT {key}, snapshot_at, snapshot_at + %(lag)s, %(written_at)s, %(seq)s, false, {features}
FROM computed
WHERE snapshot_at IN (SELECT snapshot_at FROM snapshots WHERE is_first_build)
ORDER BY {key}, snapshot_at DESC
"""

_ADD_CORRECTIONS = """
WITH rebuilt AS (
    SELECT * FROM computed WHERE snapshot_at IN (SELECT snapshot_at FROM snapshots WHERE NOT is_first_build)
),

newest AS (
    SELECT DISTINCT ON ({key}, event_time) {key}, event_time AS snapshot_at, is_tombstone, {features}
    FROM {history}
    WHERE event_time IN (SELECT snapshot_at FROM snapshots WHERE NOT is_first_build)
    ORDER BY {key}, event_time DESC, available_time DESC, seq DESC
),

written AS (
    INSERT INTO {history} ({key}, event_time, available_time, ingested_at, seq, is_tombstone, {features})
    SELECT {key}, snapshot_at, %(written_at)s, %(written_at)s, %(seq)s, rebuilt.{key} IS NULL, {rebuilt_features}
    FROM rebuilt
    FULL JOIN newest USING ({key}, snapshot_at)
    WHERE
        CASE
            WHEN newest.{key} IS NULL THEN true
            WHEN rebuilt.{key} IS NULL THEN NOT newest.is_tombstone
            ELSE newest.is_tombstone OR ({rebuilt_features}) IS DISTINCT FROM ({newest_features})
        END
    ORDER BY {key}, snapshot_at DESC
    RETURNING is_tombstone
)

SELECT count(*), count(*) FILTER (WHERE is_tombstone) FROM written
"""


@dataclass(frozen=True, slots=True)
class _Written:
    """How many rows a build looked at and wrote."""

    received: int
    first_builds: int
    corrections: int
    tombstones: int


def _write(conn: Connection, view: FeatureView, *, seq: int, written_at: datetime) -> _Written:
    """Add the rows of new snapshots, and of those built before what differs from their newest version."""
    names = [sql.Identifier(name) for name in view.feature_names]
    comma = sql.SQL(", ")
    parts = {
        "history": sql.Identifier("features", view.name),
        "key": sql.Identifier(view.key),
        "features": comma.join(names),
        "rebuilt_features": comma.join(sql.SQL("rebuilt.{}").format(name) for name in names),
        "newest_features": comma.join(sql.SQL("newest.{}").format(name) for name in names),
    }
    values = {"lag": view.lag, "written_at": written_at, "seq": seq}
    computed, has_rebuilds = conn.execute(
        "SELECT (SELECT count(*) FROM computed), EXISTS (SELECT FROM snapshots WHERE NOT is_first_build)"
    ).fetchone() or (0, False)
    first_builds = conn.execute(sql.SQL(_ADD_FIRST_BUILDS).format(**parts), values).rowcount
    corrections, tombstones = 0, 0
    if has_rebuilds:
        corrections, tombstones = conn.execute(sql.SQL(_ADD_CORRECTIONS).format(**parts), values).fetchone() or (0, 0)
    return _Written(computed + tombstones, first_builds, corrections, tombstones)


def _close_build(
    conn: Connection, view: FeatureView, *, seq: int, written_at: datetime, written: _Written
) -> dict[str, int]:
    """Note the snapshots as built and, if rows were written, this build as the view's last."""
    first_builds, rebuilds = conn.execute(
        "SELECT count(*) FILTER (WHERE is_first_build), count(*) FILTER (WHERE NOT is_first_build) FROM snapshots"
    ).fetchone() or (0, 0)
    conn.execute(
        """
        INSERT INTO features.built_snapshots (view_name, event_time)
        SELECT %s, snapshot_at FROM snapshots WHERE is_first_build
        """,
        (view.name,),
    )
    if written.first_builds + written.corrections:
        conn.execute(
            "UPDATE features.view_states SET last_seq = %s, last_ingested_at = %s WHERE view_name = %s",
            (seq, written_at, view.name),
        )
    return {"snapshots_first_built": first_builds, "snapshots_built_again": rebuilds}


def _consume(conn: Connection, view: FeatureView, receipt_ids: list[int]) -> None:
    conn.execute(
        "INSERT INTO features.consumed_receipts (view_name, receipt_id) SELECT %s, unnest(%s::bigint[])",
        (view.name, receipt_ids),
    )
