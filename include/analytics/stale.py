"""Which parts of a mart are stale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

from psycopg import Connection, sql

from include.analytics.mart import ByCustomer, ByDay, ByMonth, Mart

DAY = timedelta(days=1)
_MOST_PARTS = 60
_MOST_CUSTOMERS = 0.2
"""Above this share of the rows that a mart has, everybody's are made anew: that reads the facts once, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of a mart that are made anew together; all of them if nothing is said.

    :param column: that tells whether a row is in the part.
    :param first: day in the shop's time zone from which on rows are in it.
    :param last: day up to which they are, this one included; None if there is no end.
    :param is_of_asked: rows of the customers in the temporary table `asked (customer_id)` are in it.
    """

    column: str | None = None
    first: date | None = None
    last: date | None = None
    is_of_asked: bool = False

    @property
    def is_whole(self) -> bool:
        return self.column is None

    def instants(self, time_zone: str) -> tuple[str, str]:
        """Of its days, half-open, as Postgres reads them."""
        return (
            _beginning(self.first, time_zone) if self.first else "-infinity",
            _beginning(self.last + DAY, time_zone) if self.last else "infinity",
        )

    def holds(self, relation: str) -> sql.Composable:
        """The condition that a row of a relation is in the part."""
        if self.column is None:
            return sql.SQL("true")
        column = sql.Identifier(relation, self.column)
        if self.is_of_asked:
            # An array, which can be looked up in an index, wherever in the query the planner takes the condition.
            return sql.SQL("{} = ANY (ARRAY(SELECT asked.customer_id FROM asked))").format(column)
        last = self.last.isoformat() if self.last else "infinity"
        return sql.SQL("{} BETWEEN {}::date AND {}::date").format(column, str(self.first), last)


@dataclass(frozen=True, slots=True)
class Stale:
    """What is stale of a mart: how many days, months or customers (None: all there are), in which parts."""

    count: int | None
    parts: tuple[Part, ...]


ALL = Stale(None, (Part(),))


def take_stale(conn: Connection, mart: Mart, *, time_zone: str, until: datetime | None, now: datetime) -> Stale:
    """What is stale of a mart; it no longer counts as such after the commit.

    :param until: end of what was loaded; what becomes known by its move is stale too in a mart with months. Of the time
        after `now` nothing is known, whatever was loaded.
    """
    match mart.kept_up:
        case ByCustomer(column):
            return _stale_customers(conn, mart, column)
        case ByMonth(column):
            days = _take_days(conn, mart, time_zone)
            return _stale_months(conn, mart, column, days, time_zone=time_zone, until=until, now=now)
        case ByDay(column) as by_day:
            shifts = range(-by_day.looks_ahead_days, by_day.looks_back_days + 1)
            days = {day + number * DAY for day in _take_days(conn, mart, time_zone) for number in shifts}
            parts = tuple(_stretches(sorted(days), column))
            return Stale(len(days), parts) if len(parts) <= _MOST_PARTS else ALL
    return ALL


def _beginning(day: date, time_zone: str) -> str:
    return datetime.combine(day, clock_time(), ZoneInfo(time_zone)).astimezone(UTC).isoformat()


def _take_days(conn: Connection, mart: Mart, time_zone: str) -> set[date]:
    """Days in the shop's time zone with changed facts."""
    taken = conn.execute("DELETE FROM analytics.stale_days WHERE mart = %s RETURNING stale_on", (mart.name,)).fetchall()
    days = {day for (day,) in taken}
    if time_zone != "UTC":  # A day in UTC lies in two of the shop's, either side of it.
        days |= {day + shift for day in days for shift in (-DAY, DAY)}
    return days


def _stretches(days: list[date], column: str) -> Iterator[Part]:
    """Days in order as stretches without a gap."""
    first = last = None
    for day in days:
        if last is not None and day - last > DAY:
            yield Part(column=column, first=first, last=last)
            first = None
        first, last = first or day, day
    if first is not None:
        yield Part(column=column, first=first, last=last)


def _stale_months(
    conn: Connection,
    mart: Mart,
    column: str,
    days: set[date],
    *,
    time_zone: str,
    until: datetime | None,
    now: datetime,
) -> Stale:
    """From the month of the first of the days on, or from where the loads had come to if they have moved."""
    before = conn.execute(
        "SELECT data_until, refreshed_at FROM analytics.mart_states WHERE mart = %s", (mart.name,)
    ).fetchone()
    seen_until = min(before) if before and before[0] else None
    until = min(until, now) if until else None
    if seen_until != until:
        if seen_until is None or until is None:
            return ALL
        days = days | {min(seen_until, until).astimezone(ZoneInfo(time_zone)).date()}
    if not days:
        return Stale(0, ())
    return Stale(len(days), (Part(column=column, first=min(days).replace(day=1)),))


def _stale_customers(conn: Connection, mart: Mart, column: str) -> Stale:
    conn.execute("DROP TABLE IF EXISTS pg_temp.asked")
    conn.execute("CREATE TEMP TABLE asked (customer_id bigint) ON COMMIT DROP")
    row = conn.execute(
        """
        WITH taken AS (DELETE FROM analytics.stale_customers WHERE mart = %(mart)s RETURNING customer_id),
        added AS (INSERT INTO asked SELECT DISTINCT customer_id FROM taken RETURNING customer_id)
        SELECT
            count(*),
            count(*) > count(customer_id)
            OR count(*) > %(share)s * (SELECT row_count FROM analytics.mart_states WHERE mart = %(mart)s)
        FROM added
        """,
        {"mart": mart.name, "share": _MOST_CUSTOMERS},
    ).fetchone()
    assert row is not None
    count, is_all = row
    if count == 0:
        return Stale(0, ())
    if is_all:
        return ALL
    conn.execute("ANALYZE asked")
    return Stale(count, (Part(column=column, is_of_asked=True),))
