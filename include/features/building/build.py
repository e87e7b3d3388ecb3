"""Build a feature view's history: snapshots that are missing, and repairs of rows whose facts came late."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from psycopg import Connection

from include.entities.window import Window, refuse_naive
from include.features.building.plan import key_parts, plan_everyone, plan_touched
from include.features.building.touches import keep_seen, read_touches
from include.features.building.write import (
    Written,
    compute,
    write_computed_first_builds,
    write_corrections,
    write_first_builds,
)
from include.features.definitions.snapshots import snapshots_of
from include.features.definitions.versions import ViewVersion, apply_view
from include.features.definitions.view import FeatureView
from include.features.history.writers import note_writer
from include.features.upkeep.statistics import forget_statistics
from include.warehouse.receipts import Receipt, write_receipt

logger = logging.getLogger(__name__)


class SnapshotInFuture(ValueError):
    """A snapshot was asked for before it can be known."""


def build_view(
    conn: Connection, view: FeatureView | ViewVersion, window: Window, *, now: datetime, rebuild: bool = False
) -> Receipt:
    """Bring the history of a view up to date, in one transaction and at most two passes over the facts.

    Taken are the snapshots of the window that were never built, and of all that were built before exactly the rows
    that are stale: of touched keys, at the snapshots where their changed facts are felt. Rows are only ever added:

    * of a snapshot that was never built: its rows, with `available_time = event_time + lag`;
    * a row that differs from the newest version, or appears in a snapshot built earlier: a correction, and where a
      row is no longer produced a tombstone, both with `available_time = ingested_at`;
    * an identical row: nothing.

    Doing it again writes nothing but a receipt. Builds and publications of one view wait for each other.

    :param view: the definition, which gets its tables if it has none; or a version that was built before.
    :param now: when this happens, with a time zone. Where a colleague's clock was ahead, its later time is kept, so
        that corrections stay in their order.
    :param rebuild: take all snapshots of the window anew, also those that nothing has touched.
    :returns: received = inserted (first versions) + updated (corrections and tombstones) + unchanged.
    :raises SnapshotInFuture: the window has snapshots whose time plus lag is after `now`; nothing was written.
    :raises DefinitionRefused: a new definition does not fit the database; nothing was written.
    """
    started = time.monotonic()
    definition = view.view if isinstance(view, ViewVersion) else view
    wanted = snapshots_of(window, cadence=definition.cadence)
    _refuse_future(definition, wanted, window=window, now=now)
    with conn.transaction():
        version = view if isinstance(view, ViewVersion) else apply_view(conn, view, now=now)
        _prepare_session(conn)
        seq, written_at = _open_build(conn, version, now=now)
        seen = read_touches(conn, version)
        written, counts = _build(conn, version, wanted, rebuild=rebuild, seq=seq, written_at=written_at)
        _close_build(conn, version, seq=seq, written_at=written_at, written=written)
        keep_seen(conn, version, seen)
        receipt = Receipt(
            step="build",
            entity=definition.name,
            window=window,
            received=written.received,
            inserted=written.first_builds,
            updated=written.corrections,
            unchanged=written.received - written.first_builds - written.corrections,
            details={"version": version.version, "tombstones": written.tombstones, "touches": seen.count, **counts},
            seconds=time.monotonic() - started,
        )
        write_receipt(conn, receipt, now=written_at)
    logger.info(
        "%s version=%d snapshots=%d rebuilt_snapshots=%d repaired_pairs=%d",
        receipt, version.version, counts["snapshots"], counts["rebuilt_snapshots"], counts["repaired_pairs"],
    )  # fmt: skip
    return receipt


def lock_view(conn: Connection, view: FeatureView) -> None:
    """Wait until nobody else builds or publishes `view`; held until the transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.features.' || %s, 0))", (view.name,))


def _build(
    conn: Connection, version: ViewVersion, wanted: list[datetime], *, rebuild: bool, seq: int, written_at: datetime
) -> tuple[Written, dict[str, int]]:
    """Everybody at the snapshots that are missing or stale as a whole, then single pairs of key and snapshot."""
    written = Written()
    missing, stale = plan_everyone(conn, version, wanted=wanted, rebuild=rebuild)
    if stale:
        compute(conn, version)
        written += write_corrections(conn, version, seq=seq, written_at=written_at, of_pairs=False)
        written += write_computed_first_builds(conn, version, seq=seq, written_at=written_at)
    elif missing:
        for _ in key_parts(conn, version):
            written += write_first_builds(conn, version, seq=seq, written_at=written_at)
    pairs = plan_touched(conn, version)
    if pairs:
        compute(conn, version)
        written += write_corrections(conn, version, seq=seq, written_at=written_at, of_pairs=True)
    if written.corrections:
        forget_statistics(conn, version)
    conn.execute(
        """
        INSERT INTO features.built_snapshots (view_name, version, event_time, built_at)
        SELECT %s, %s, unnest(%s::timestamptz[]), %s
        """,
        (version.view.name, version.version, missing, written_at),
    )
    return written, {"snapshots": len(missing), "rebuilt_snapshots": stale, "repaired_pairs": pairs}


def _refuse_future(view: FeatureView, wanted: list[datetime], *, window: Window, now: datetime) -> None:
    refuse_naive(now=now)
    if wanted and wanted[-1] + view.lag > now:
        raise SnapshotInFuture(
            f"The features of {view} at {wanted[-1].isoformat()} cannot be known before "
            f"{(wanted[-1] + view.lag).isoformat()}, and it is {now.astimezone(UTC).isoformat()}. Nothing was built. "
            f"Give the window {window} an end that has passed."
        )


def _prepare_session(conn: Connection) -> None:
    """Days are 24 hours in UTC, whatever the session was set to; sorts of a year fit into memory."""
    conn.execute("SET LOCAL timezone = 'UTC'; SET LOCAL work_mem = '128MB'; SET LOCAL client_min_messages = warning")


def _open_build(conn: Connection, version: ViewVersion, *, now: datetime) -> tuple[int, datetime]:
    """Lock the view and give this build's number and its time, which never runs backwards."""
    note_writer(conn)
    lock_view(conn, version.view)
    row = conn.execute(
        """
        SELECT last_seq + 1, greatest(last_ingested_at, %s) FROM features.view_versions
        WHERE view_name = %s AND version = %s
        """,
        (now, version.view.name, version.version),
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _close_build(conn: Connection, version: ViewVersion, *, seq: int, written_at: datetime, written: Written) -> None:
    """If rows were written, note this build as the version's last."""
    if written.first_builds + written.corrections:
        conn.execute(
            """
            UPDATE features.view_versions SET last_seq = %s, last_ingested_at = %s
            WHERE view_name = %s AND version = %s
            """,
            (seq, written_at, version.view.name, version.version),
        )
