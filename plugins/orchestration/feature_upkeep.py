"""What keeps the feature store in order: statistics, retention, the order of its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context, task

if TYPE_CHECKING:
    from psycopg import Connection

    from include.features.definitions.versions import ViewVersion

SUNDAY = 6


@task
def measure_features() -> None:
    """Keep the statistics of every snapshot that has none."""
    from include.features.upkeep.statistics import measure

    with _versions() as (conn, versions):
        for version in versions:
            measure(conn, version, now=datetime.now(UTC))


@task
def thin_features() -> None:
    """Remove the snapshots that the policy does not keep, and changes that every view has taken in."""
    from include.features.upkeep.retention import forget_touches, thin_history
    from include.features.upkeep.settings import retention_of

    policy = retention_of(os.environ)
    with _versions() as (conn, versions):
        for version in versions:
            thin_history(conn, version, policy, now=datetime.now(UTC))
        for entity in {version.view.entity.name: version.view.entity for version in versions}.values():
            forget_touches(conn, entity)


@task
def mirror_features() -> None:
    """Bring the Parquet files that large training sets are joined from up to what history holds."""
    from include.features.history.mirror import Mirror
    from orchestration.connections import storage

    mirror = Mirror(str(storage() / "features"))
    with _versions() as (conn, versions):
        for version in versions:
            mirror.update(conn, version)


@task
def compact_features() -> None:
    """On Sundays, put the rows of history into the order of their reads; readers of a view wait while it lasts."""
    from airflow.sdk.exceptions import AirflowSkipException

    from include.features.upkeep.compact import compact_history

    ends_at = get_current_context()["data_interval_end"] or datetime.now(UTC)
    if ends_at.weekday() != SUNDAY:
        raise AirflowSkipException("It is done on Sundays.")
    with _versions() as (conn, versions):
        for version in versions:
            compact_history(conn, version)


@contextmanager
def _versions() -> Iterator[tuple[Connection, list[ViewVersion]]]:
    """A connection to the warehouse, and every version of every registered view that is in use."""
    from include.features.definitions.versions import versions_in_use
    from include.features.registry import FEATURE_VIEWS
    from orchestration.connections import warehouse

    with warehouse() as conn:
        yield conn, [version for name in FEATURE_VIEWS for version in versions_in_use(conn, name)]
