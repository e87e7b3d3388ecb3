"""History of feature views over 365 daily snapshots in one pass, beside daily builds and a bare INSERT.

Measured are the four views with the most features of those that look at each customer alone, one after the other on
a shop of FEATURES_CUSTOMERS customers with 20 orders each (100000 is the full size; the size is in each line). The
daily builds are a sample of days spread evenly over the year, scaled to all of them; each day's build finds a history
with nothing but the sample in it, which is in favour of the daily builds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta

from psycopg import Connection, sql

from bench.features_shop import (
    CUSTOMERS,
    FIRST_SNAPSHOT,
    FULL_CUSTOMERS,
    NOW,
    ORDERS_PER_CUSTOMER,
    SNAPSHOTS,
    add_late_orders,
    fill_shop,
)
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.entity import CUSTOMER
from include.features.definitions.versions import ViewVersion, apply_view
from include.features.definitions.view import FeatureView
from include.features.registry import FEATURE_VIEWS
from include.warehouse.connection import connect_warehouse

DAY = timedelta(days=1)
YEAR = Window(FIRST_SNAPSHOT - DAY, FIRST_SNAPSHOT + DAY * (SNAPSHOTS - 1))
SAMPLED_DAYS = 6
CUSTOMERS_PER_LATE_ORDER = 100
"""At full size that is 1,000 late orders."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """What was measured of one view, or of several together; rows and pairs are counts."""

    rows: int = 0
    one_pass: float = 0
    daily: float = 0
    bare_insert: float = 0
    repair: float = 0
    repaired_pairs: int = 0

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def run() -> list[Result]:
    views = largest_views()
    print(
        f"bench: features_build at {CUSTOMERS:,} customers, {CUSTOMERS * ORDERS_PER_CUSTOMER:,} orders, "
        f"{SNAPSHOTS} snapshots (full size: FEATURES_CUSTOMERS={FULL_CUSTOMERS}); {', '.join(map(str, views))}",
        flush=True,
    )
    quarter = dict(zip(views, _measure(views, _time_one_pass, customers=CUSTOMERS // 4), strict=True))
    whole = dict(zip(views, _measure(views, _time_everything, customers=CUSTOMERS), strict=True))
    return _results(whole, quarter)


def largest_views() -> list[FeatureView]:
    """The four with the most features of the views that look at each customer alone."""
    views = [view for view in FEATURE_VIEWS.values() if view.entity == CUSTOMER and not view.is_ranked]
    return sorted(views, key=lambda view: len(view.features), reverse=True)[:4]


def _measure(
    views: list[FeatureView], measure: Callable[[Connection, FeatureView], Seconds], *, customers: int
) -> list[Seconds]:
    with fresh_warehouse() as dsn, connect_warehouse(dsn) as conn:
        fill_shop(conn, customers=customers)
        return [measure(conn, view) for view in views]


def _time_one_pass(conn: Connection, view: FeatureView) -> Seconds:
    version = apply_view(conn, view, now=NOW)
    conn.commit()
    seconds = _timed(conn, lambda: build_view(conn, view, YEAR, now=NOW))
    seconds_of_view = Seconds(rows=_count(conn, version), one_pass=seconds)
    _forget(conn, version)
    return seconds_of_view


def _time_everything(conn: Connection, view: FeatureView) -> Seconds:
    version = apply_view(conn, view, now=NOW)
    conn.commit()
    daily = 0.0
    for number in range(SAMPLED_DAYS):
        start = YEAR.start + DAY * ((2 * number + 1) * SNAPSHOTS // (2 * SAMPLED_DAYS))
        day = Window(start, start + DAY)
        daily += _timed(conn, lambda day=day: build_view(conn, view, day, now=NOW))
    _forget(conn, version)
    one_pass = _timed(conn, lambda: build_view(conn, view, YEAR, now=NOW))
    rows = _count(conn, version)
    bare_insert = _time_bare_insert(conn, version)
    repair, pairs = _time_repair(conn, version)
    _forget(conn, version)
    return Seconds(rows, one_pass, daily * SNAPSHOTS / SAMPLED_DAYS, bare_insert, repair, pairs)


def _time_bare_insert(conn: Connection, version: ViewVersion) -> float:
    """The same rows, ready-made in the order in which history keeps them, into an equal table with its indexes."""
    conn.execute(sql.SQL("CREATE UNLOGGED TABLE ready_made AS TABLE {}").format(version.history))
    conn.execute(sql.SQL("CREATE TABLE equal (LIKE {} INCLUDING ALL)").format(version.history))
    conn.commit()
    seconds = _timed(conn, lambda: conn.execute("INSERT INTO equal SELECT * FROM ready_made"))
    conn.execute("DROP TABLE ready_made, equal")
    conn.commit()
    return seconds


def _time_repair(conn: Connection, version: ViewVersion) -> tuple[float, int]:
    conn.execute(sql.SQL("ANALYZE {}").format(version.history))
    add_late_orders(conn, count=max(1, CUSTOMERS // CUSTOMERS_PER_LATE_ORDER))
    started = time.perf_counter()
    receipt = build_view(conn, version, YEAR, now=NOW + DAY)
    conn.commit()
    seconds = time.perf_counter() - started
    is_touched = "shop.orders" in version.view.reads
    assert receipt.inserted == 0 and (receipt.updated > 0) == is_touched, receipt
    conn.execute("SET session_replication_role = replica")
    conn.execute("DELETE FROM shop.orders WHERE order_number = 'late'")
    conn.execute("SET session_replication_role = origin")
    conn.commit()
    return seconds, receipt.details["repaired_pairs"]


def _timed(conn: Connection, work: Callable[[], object]) -> float:
    """Seconds until it is committed, each from a checkpoint on, so that nobody writes what another one left."""
    conn.execute("CHECKPOINT")
    conn.commit()
    started = time.perf_counter()
    work()
    conn.commit()
    return time.perf_counter() - started


def _count(conn: Connection, version: ViewVersion) -> int:
    row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(version.history)).fetchone()
    assert row is not None
    return row[0]


def _forget(conn: Connection, version: ViewVersion) -> None:
    """Empty a view's history as if nothing had been built."""
    conn.execute(sql.SQL("TRUNCATE {}").format(version.history))
    conn.execute("DELETE FROM features.built_snapshots")
    conn.execute("TRUNCATE features.customer_touches")
    conn.commit()


def _results(whole: dict[FeatureView, Seconds], quarter: dict[FeatureView, Seconds]) -> list[Result]:
    total, small = sum(whole.values(), Seconds()), sum(quarter.values(), Seconds())
    size = f"{CUSTOMERS:,} customers x {SNAPSHOTS} snapshots, {CUSTOMERS * ORDERS_PER_CUSTOMER:,} orders"

    def by_view(ratio: Callable[[FeatureView], float]) -> str:
        return ", ".join(f"{view} {ratio(view):.2f}" for view in whole)

    return [
        Result(
            name="features.build_one_pass_times_daily",
            value=total.daily / total.one_pass,
            unit="times",
            against=f"{SNAPSHOTS} daily builds ({SAMPLED_DAYS} of them run, scaled)",
            goal="≥ 30",
            detail=f"{total.one_pass:,.1f} s against {total.daily:,.0f} s; {size}; "
            + by_view(lambda view: whole[view].daily / whole[view].one_pass),
        ),
        Result(
            name="features.build_share_of_bare_insert",
            value=100 * total.bare_insert / total.one_pass,
            unit="%",
            against="INSERT … SELECT of the same rows ready-made into an equal table with the same indexes",
            goal="≥ 60",
            detail=f"{total.rows / total.one_pass:,.0f} rows/s against {total.rows / total.bare_insert:,.0f} rows/s; "
            f"{size}; " + by_view(lambda view: 100 * whole[view].bare_insert / whole[view].one_pass),
        ),
        Result(
            name="features.build_growth_when_size_grows_4_times",
            value=total.one_pass / small.one_pass,
            unit="times",
            against="the same build over a quarter of the customers with their orders",
            goal="≤ 4.4",
            detail=f"{total.one_pass:,.1f} s against {small.one_pass:,.1f} s; {size}; "
            + by_view(lambda view: whole[view].one_pass / quarter[view].one_pass),
        ),
        Result(
            name="features.repair_share_of_full_build",
            value=100 * total.repair / total.one_pass,
            unit="%",
            against="the build of the whole history in one pass",
            goal="≤ 2",
            detail=f"{total.repair:,.2f} s for {CUSTOMERS // CUSTOMERS_PER_LATE_ORDER:,} late orders "
            f"({total.repaired_pairs:,} pairs of key and snapshot) against {total.one_pass:,.1f} s; {size}; "
            + by_view(lambda view: 100 * whole[view].repair / whole[view].one_pass),
        ),
    ]
