"""What the features of a snapshot look like, kept per snapshot, and whether they are as is expected of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql

from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.versions import ViewVersion
from include.features.definitions.view import Feature

log = logging.getLogger(__name__)

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_SNAPSHOTS_AT_ONCE = 30


@dataclass(frozen=True, slots=True)
class FeatureStatistics:
    """One feature at one snapshot; numbers are null for text and where every value is null.

    :param quantiles: values that occur, at the shares `QUANTILES`.
    """

    event_time: datetime
    feature: str
    row_count: int
    null_count: int
    distinct_count: int
    minimum: float | None
    maximum: float | None
    mean: float | None
    quantiles: Sequence[float] | None


def measure(conn: Connection, version: ViewVersion, *, now: datetime, newest: int | None = None) -> int:
    """Keep the statistics of snapshots that have none: they were built, or corrected, since the last time.

    :param newest: only of so many of the newest snapshots.
    :returns: how many snapshots were measured.
    """
    started = time.monotonic()
    wanted = _unmeasured(conn, version, newest=newest)
    for start in range(0, len(wanted), _SNAPSHOTS_AT_ONCE):
        some = wanted[start : start + _SNAPSHOTS_AT_ONCE]
        with conn.transaction():
            conn.execute("SET LOCAL work_mem = '128MB'")
            _choose_rows(conn, version, some)
            for feature in version.view.features:
                _keep(conn, version, feature, some, now=now)
    log.info("measure_%s version=%d snapshots=%d seconds=%.2f", version.view.name, version.version, len(wanted),
             time.monotonic() - started)  # fmt: skip
    return len(wanted)


def statistics_of(conn: Connection, version: ViewVersion, *, newest: int = 1) -> list[FeatureStatistics]:
    """The statistics of the newest snapshots, oldest first."""
    rows = conn.execute(
        """
        SELECT event_time, feature, row_count, null_count, distinct_count, minimum, maximum, mean, quantiles
        FROM features.statistics
        WHERE view_name = %(name)s AND version = %(version)s AND event_time IN (
            SELECT DISTINCT event_time FROM features.statistics
            WHERE view_name = %(name)s AND version = %(version)s
            ORDER BY event_time DESC LIMIT %(newest)s
        )
        ORDER BY event_time, feature
        """,
        {"name": version.view.name, "version": version.version, "newest": newest},
    ).fetchall()
    return [FeatureStatistics(*row) for row in rows]


def statistics_over_time(
    conn: Connection, version: ViewVersion, feature: str, *, newest: int
) -> list[FeatureStatistics]:
    """The statistics of one feature at the newest measured snapshots, at most `newest`, oldest first."""
    rows = conn.execute(
        """
        SELECT event_time, feature, row_count, null_count, distinct_count, minimum, maximum, mean, quantiles
        FROM features.statistics
        WHERE view_name = %s AND version = %s AND feature = %s
        ORDER BY event_time DESC LIMIT %s
        """,
        (version.view.name, version.version, feature, newest),
    ).fetchall()
    return [FeatureStatistics(*row) for row in reversed(rows)]


def failed_expectations(conn: Connection, version: ViewVersion, *, now: datetime) -> list[str]:
    """What does not hold of the newest snapshot, one sentence each; measures it and the one before if need be.

    What is found is kept in `features.failed_expectations`.
    """
    measure(conn, version, now=now, newest=2)
    measured = statistics_of(conn, version, newest=2)
    if not measured:
        return []
    newest_at = measured[-1].event_time
    newest = {each.feature: each for each in measured if each.event_time == newest_at}
    rows_now = measured[-1].row_count
    rows_before = measured[0].row_count if measured[0].event_time != newest_at else None
    failed = {
        expected: found
        for each in version.view.expectations
        for expected, found in (
            _of_rows(each, rows_now, rows_before) if each.feature is None else _of_feature(each, newest[each.feature])
        ).items()
    }
    with conn.transaction():
        conn.execute(
            "DELETE FROM features.failed_expectations WHERE view_name = %s AND version = %s AND event_time = %s",
            (version.view.name, version.version, newest_at),
        )
        with conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO features.failed_expectations VALUES (%s, %s, %s, %s, %s, %s)",
                [(version.view.name, version.version, newest_at, *each, now) for each in failed.items()],
            )
    return [f"{expected}, and {found}" for expected, found in failed.items()]


def forget_statistics(conn: Connection, version: ViewVersion) -> None:
    """Remove those of snapshots that the build under way takes again: its `planned` ones and those of its `pairs`."""
    conn.execute(
        """
        DELETE FROM features.statistics WHERE view_name = %s AND version = %s AND event_time IN (
            SELECT snapshot_at FROM planned WHERE NOT is_first_build UNION SELECT snapshot_at FROM pairs
        )
        """,
        (version.view.name, version.version),
    )


def _of_rows(expected: FeatureExpectation, rows: int, rows_before: int | None) -> dict[str, str]:
    failed = {}
    if expected.rows_at_least is not None and rows < expected.rows_at_least:
        failed[f"the snapshot has {expected.rows_at_least} rows or more"] = f"it has {rows}"
    lost = 0.0 if not rows_before else 1 - rows / rows_before
    if expected.rows_change_at_most is not None and lost > expected.rows_change_at_most:
        failed[f"no more than {expected.rows_change_at_most:.0%} of the rows go from one snapshot to the next"] = (
            f"{rows_before} became {rows}"
        )
    return failed


def _of_feature(expected: FeatureExpectation, found: FeatureStatistics) -> dict[str, str]:
    failed = {}
    name = expected.feature
    if expected.at_least is not None and found.minimum is not None and found.minimum < expected.at_least:
        failed[f"{name} is {expected.at_least:g} or more"] = f"the least is {found.minimum:g}"
    if expected.at_most is not None and found.maximum is not None and found.maximum > expected.at_most:
        failed[f"{name} is {expected.at_most:g} or less"] = f"the greatest is {found.maximum:g}"
    share = found.null_count / found.row_count if found.row_count else 0.0
    if expected.null_share_at_most is not None and share > expected.null_share_at_most:
        failed[f"{name} is null in {expected.null_share_at_most:.0%} of the rows or fewer"] = f"it is in {share:.1%}"
    return failed


def _unmeasured(conn: Connection, version: ViewVersion, *, newest: int | None) -> list[datetime]:
    """Snapshots, oldest first, without statistics; a build that corrects a snapshot removes those it has."""
    rows = conn.execute(
        sql.SQL(
            """
            SELECT built.event_time
            FROM (
                SELECT event_time FROM features.built_snapshots
                WHERE view_name = {name} AND version = {version} AND NOT is_partial AND thinned_at IS NULL
                ORDER BY event_time DESC LIMIT {newest}
            ) AS built
            WHERE NOT EXISTS (
                SELECT FROM features.statistics AS statistics
                WHERE
                    statistics.view_name = {name} AND statistics.version = {version}
                    AND statistics.event_time = built.event_time
            )
            ORDER BY built.event_time
            """
        ).format(
            name=sql.Literal(version.view.name),
            version=sql.Literal(version.version),
            newest=sql.Literal(newest),
        )
    ).fetchall()
    return [row[0] for row in rows]


def _choose_rows(conn: Connection, version: ViewVersion, snapshots: Sequence[datetime]) -> None:
    """The newest version of each row of the snapshots, without tombstones, in the temporary table `measured`."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.measured")
    conn.execute(
        sql.SQL(
            """
            CREATE TEMPORARY TABLE measured ON COMMIT DROP AS
            SELECT event_time, {features} FROM (
                SELECT DISTINCT ON (event_time, {keys}) *
                FROM {history}
                WHERE event_time = ANY({snapshots}::timestamptz[])
                ORDER BY event_time, {keys}, available_time DESC, seq DESC
            ) AS newest
            WHERE NOT is_tombstone
            """
        ).format(
            features=version.features,
            keys=version.keys,
            history=version.history,
            snapshots=sql.Literal(list(snapshots)),
        )
    )


def _keep(
    conn: Connection, version: ViewVersion, feature: Feature, snapshots: Sequence[datetime], *, now: datetime
) -> None:
    name = sql.Identifier("measured", feature.name)
    numbers: sql.Composable = sql.SQL(
        "NULL::double precision, NULL::double precision, NULL::double precision, NULL::double precision[]"
    )
    if feature.type != "text":
        numbers = sql.SQL(
            "min({0})::double precision, max({0})::double precision, avg({0})::double precision,"
            " percentile_disc({1}::double precision[]) WITHIN GROUP (ORDER BY {0}::double precision)"
        ).format(name, sql.Literal(list(QUANTILES)))
    conn.execute(
        sql.SQL(
            """
            INSERT INTO features.statistics (
                view_name, version, event_time, feature, row_count, null_count, distinct_count,
                minimum, maximum, mean, quantiles, measured_at
            )
            SELECT
                {view}, {version}, wanted.event_time, {feature}, count(measured.event_time),
                count(measured.event_time) - count({name}), count(DISTINCT {name}), {numbers}, {now}
            FROM unnest({snapshots}::timestamptz[]) AS wanted (event_time)
            LEFT JOIN measured ON wanted.event_time = measured.event_time
            GROUP BY wanted.event_time
            ON CONFLICT (view_name, version, event_time, feature) DO UPDATE SET
                row_count = excluded.row_count, null_count = excluded.null_count,
                distinct_count = excluded.distinct_count, minimum = excluded.minimum, maximum = excluded.maximum,
                mean = excluded.mean, quantiles = excluded.quantiles, measured_at = excluded.measured_at
            """
        ).format(
            view=sql.Literal(version.view.name),
            version=sql.Literal(version.version),
            feature=sql.Literal(feature.name),
            name=name,
            numbers=numbers,
            snapshots=sql.Literal(list(snapshots)),
            now=sql.Literal(now),
        )
    )
