"""How long history keeps which snapshots, and the one place that removes any."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection, sql

from include.features.building.build import lock_view
from include.features.definitions.entity import Entity
from include.features.definitions.versions import ViewVersion, hold_versions
from include.features.registry import REGISTRY, Registry

log = logging.getLogger(__name__)


class BadPolicy(ValueError):
    """A policy contradicts itself; nothing was removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Which snapshots stay. Ages are counted back from now; None is for ever.

    :param daily: younger than this, every snapshot stays, and what was pushed between them.
    :param weekly: younger than this, those of Mondays stay.
    :param monthly: younger than this, those of the first of a month stay; older ones all go.
    :raises BadPolicy: an age is not positive, or a finer grain would be kept for longer than a coarser one.
    """

    daily: timedelta | None
    weekly: timedelta | None
    monthly: timedelta | None

    def __post_init__(self) -> None:
        ages = [timedelta.max if age is None else age for age in (self.daily, self.weekly, self.monthly)]
        if min(ages) <= timedelta(0) or ages != sorted(ages):
            raise BadPolicy(f"{self}: ages must be positive, and daily <= weekly <= monthly. Nothing was removed.")

    def keeps(self, snapshot: datetime, *, now: datetime) -> bool:
        """Whether a snapshot stays; an instant that is no midnight (UTC) stays only while every one does."""
        age = now - snapshot
        is_midnight = snapshot.hour == snapshot.minute == snapshot.second == snapshot.microsecond == 0
        return (
            _is_younger(age, self.daily)
            or (is_midnight and snapshot.weekday() == 0 and _is_younger(age, self.weekly))
            or (is_midnight and snapshot.day == 1 and _is_younger(age, self.monthly))
        )

    def __str__(self) -> str:
        told = {"daily": self.daily, "weekly": self.weekly, "monthly": self.monthly}
        return " ".join(f"{name}={'ever' if age is None else f'{age.days}d'}" for name, age in told.items())


def _is_younger(age: timedelta, limit: timedelta | None) -> bool:
    return limit is None or age < limit


def thin_history(conn: Connection, version: ViewVersion, policy: RetentionPolicy, *, now: datetime) -> int:
    """Remove the snapshots that the policy does not keep, with their statistics, in one transaction.

    They stay noted as built, so that no build makes them again; the newest snapshot always stays. A training set that
    was joined from a removed snapshot cannot be joined again.

    :returns: how many rows of history went.
    """
    started = time.monotonic()
    with conn.transaction():
        lock_view(conn, version.view)
        rows = conn.execute(
            """
            SELECT event_time, is_partial FROM features.built_snapshots
            WHERE view_name = %s AND version = %s AND thinned_at IS NULL ORDER BY event_time
            """,
            (version.view.name, version.version),
        ).fetchall()
        newest = max((at for at, is_partial in rows if not is_partial), default=None)
        going = [at for at, _ in rows if at != newest and not policy.keeps(at, now=now)]
        removed = conn.execute(
            sql.SQL("DELETE FROM {} WHERE event_time = ANY(%s)").format(version.history), (going,)
        ).rowcount
        parameters = {"name": version.view.name, "version": version.version, "going": going, "now": now}
        conn.execute(
            """
            UPDATE features.built_snapshots SET thinned_at = %(now)s
            WHERE view_name = %(name)s AND version = %(version)s AND event_time = ANY(%(going)s)
            """,
            parameters,
        )
        conn.execute(
            """
            DELETE FROM features.statistics
            WHERE view_name = %(name)s AND version = %(version)s AND event_time = ANY(%(going)s)
            """,
            parameters,
        )
    log.info(
        "thin_%s version=%d policy=%r snapshots=%d kept=%d rows=%d seconds=%.2f",
        version.view.name, version.version, str(policy), len(going), len(rows) - len(going), removed,
        time.monotonic() - started,
    )  # fmt: skip
    return removed


def forget_touches(conn: Connection, entity: Entity, *, registry: Registry = REGISTRY) -> int:
    """Remove the touches that the history of every version in use has taken in.

    While a version is being made or comes back none go: what it has yet to take in is known once that is committed.
    A version of a view that is no longer in the registry takes nothing in until it is retired; a warning says so.

    :returns: how many went.
    """
    if entity.touches is None:
        return 0
    if not hold_versions(conn):
        log.info("forget_touches entity=%s rows=0 a version is being made", entity)
        return 0
    count = conn.execute(
        sql.SQL(
            """
            DELETE FROM {touches} AS touches WHERE NOT EXISTS (
                SELECT FROM features.view_versions AS versions
                WHERE
                    versions.definition -> 'entity' ->> 'name' = %s AND versions.retired_at IS NULL
                    AND (
                        versions.definition -> 'reads' ? touches.source
                        OR touches.source = 'features.' || versions.view_name || '_v' || versions.version
                    )
                    AND (
                        versions.seen_touches IS NULL
                        OR versions.seen_on_server <> (SELECT system_identifier::text FROM pg_control_system())
                        OR NOT pg_visible_in_snapshot(touches.written_by, versions.seen_touches)
                    )
            )
            """
        ).format(touches=sql.SQL(entity.touches)),
        (entity.name,),
    ).rowcount
    log.info("forget_touches entity=%s rows=%d", entity, count)
    for name in _abandoned(conn, entity, registry):
        log.warning(
            "forget_touches entity=%s keeps touches for %s, whose view is no longer defined: nobody builds it. "
            "Retire it: python -m include.features retire %s", entity, name, name,
        )  # fmt: skip
    return count


def _abandoned(conn: Connection, entity: Entity, registry: Registry) -> list[str]:
    """Versions in use of views that are no longer defined."""
    rows = conn.execute(
        """
        SELECT view_name || '@' || version FROM features.view_versions
        WHERE retired_at IS NULL AND definition -> 'entity' ->> 'name' = %s AND view_name <> ALL(%s)
        ORDER BY view_name, version
        """,
        (entity.name, list(registry.views)),
    ).fetchall()
    return [row[0] for row in rows]
