"""How the feature store stands: for each view what exists, what is missing or stale, and whether it is published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql
from psycopg.rows import class_row

from include.entities.window import Window
from include.features.building.coverage import BuildPreview, Coverage, coverage_of, preview_build
from include.features.definitions.versions import UnknownVersion
from include.features.definitions.view import FeatureView


@dataclass(frozen=True, slots=True)
class ViewReport:
    """One view over a window.

    :param coverage: None if the view as it is defined now was never built; so is `preview`.
    :param rows: rows of the newest snapshot, None while there is none.
    :param is_published: whether everything that was written is online.
    :param failed: expectations that did not hold of the newest snapshot when they were last checked.
    """

    view: FeatureView
    coverage: Coverage | None = None
    preview: BuildPreview | None = None
    rows: int | None = None
    published_at: datetime | None = None
    is_published: bool = False
    failed: tuple[str, ...] = ()

    def state_of(self, snapshot: datetime) -> str:
        """`built`, `stale`, `thinned` or `missing`."""
        if self.coverage is None or self.preview is None or snapshot in self.coverage.missing:
            return "missing"
        if snapshot in self.coverage.thinned:
            return "thinned"
        return "stale" if snapshot in self.preview.stale else "built"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionState:
    """A definition that a view has had; instants in UTC, None if it never happened.

    :param last_ingested_at: when a build last wrote rows of it.
    """

    version: int
    created_at: datetime
    last_ingested_at: datetime | None
    published_at: datetime | None
    retired_at: datetime | None


def newest_snapshot(conn: Connection) -> datetime | None:
    """The newest snapshot that was built of any view and is there; None before the first."""
    row = conn.execute(
        "SELECT max(event_time) FROM features.built_snapshots WHERE NOT is_partial AND thinned_at IS NULL"
    ).fetchone()
    return row[0] if row else None


def version_states(conn: Connection, name: str) -> list[VersionState]:
    """All versions of a view, newest first."""
    with conn.cursor(row_factory=class_row(VersionState)) as cursor:
        return cursor.execute(
            """
            SELECT version, created_at, last_ingested_at, published_at, retired_at
            FROM features.view_versions WHERE view_name = %s ORDER BY version DESC
            """,
            (name,),
        ).fetchall()


def report_views(conn: Connection, views: Iterable[FeatureView], window: Window) -> list[ViewReport]:
    """How each view stands over a window; nothing is written."""
    return [_report(conn, view, window) for view in views]


def _report(conn: Connection, view: FeatureView, window: Window) -> ViewReport:
    try:
        coverage = coverage_of(conn, view, window)
    except UnknownVersion:
        return ViewReport(view)
    key = {"name": view.name, "version": coverage.version.version, "newest": coverage.newest}
    state = conn.execute(
        """
        SELECT published_at, published_seq >= last_seq FROM features.view_versions
        WHERE view_name = %(name)s AND version = %(version)s
        """,
        key,
    ).fetchone()
    assert state is not None
    failed = conn.execute(
        """
        SELECT expectation || ', and ' || found FROM features.failed_expectations
        WHERE view_name = %(name)s AND version = %(version)s AND event_time = %(newest)s ORDER BY 1
        """,
        key,
    ).fetchall()
    rows = conn.execute(
        sql.SQL("SELECT count(DISTINCT ({})) FROM {} WHERE event_time = %(newest)s").format(
            coverage.version.keys, coverage.version.history
        ),
        key,
    ).fetchone()
    assert rows is not None
    return ViewReport(
        view,
        coverage,
        preview_build(conn, view, window),
        rows=None if coverage.newest is None else rows[0],
        published_at=state[0],
        is_published=state[1],
        failed=tuple(row[0] for row in failed),
    )
