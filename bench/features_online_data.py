"""Five views with one snapshot of every customer, in the warehouse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from psycopg import Connection, sql

from include.entities.window import Window
from include.features.definitions.entity import CUSTOMER
from include.features.definitions.versions import ViewVersion, apply_view
from include.features.definitions.view import Feature, FeatureView

SNAPSHOT = datetime(2026, 1, 1, tzinfo=UTC)
NOW = SNAPSHOT + timedelta(hours=1)
DAY = Window(SNAPSHOT - timedelta(days=1), SNAPSHOT)
FEATURES = {"wide": 20, "second": 5, "third": 5, "fourth": 5, "fifth": 5}


def _view(name: str, count: int) -> FeatureView:
    """Of its features each second one is a whole number."""
    features = tuple(
        Feature(
            name=f"{name}_{number}",
            type="integer" if number % 2 else "number",
            unit="units",
            description="Numbers for a benchmark.",
        )
        for number in range(count)
    )
    values = ", ".join(
        f"1::{'bigint' if feature.type == 'integer' else 'double precision'} AS {feature.name}" for feature in features
    )
    return FeatureView(
        name=f"bench_{name}",
        entity=CUSTOMER,
        features=features,
        reads=("shop.orders",),
        description="Numbers for a benchmark.",
        owner="bench",
        query=f"SELECT orders.customer_id, snapshots.snapshot_at, {values}"
        " FROM shop.orders CROSS JOIN snapshots CROSS JOIN entities",
    )


VIEWS = [_view(name, count) for name, count in FEATURES.items()]
WIDE = VIEWS[0]


def fill_views(conn: Connection, *, customers: int) -> list[ViewVersion]:
    """The first build of all views, as if it had been run at `NOW`."""
    versions = [apply_view(conn, view, now=NOW) for view in VIEWS]
    for version in versions:
        _insert(conn, version, seq=1, available_time=SNAPSHOT, step=1, customers=customers)
        conn.execute(
            """
            INSERT INTO features.built_snapshots (view_name, version, event_time, built_at) VALUES (%s, %s, %s, %s)
            """,
            (version.view.name, version.version, SNAPSHOT, NOW),
        )
    conn.commit()
    _vacuum(conn, *versions)
    return versions


def correct_some(conn: Connection, version: ViewVersion, *, customers: int, step: int) -> int:
    """Other values for each `step`-th customer, as a repair writes them; gives how many."""
    count = _insert(conn, version, seq=2, available_time=NOW, step=step, customers=customers)
    conn.commit()
    return count


def _insert(
    conn: Connection, version: ViewVersion, *, seq: int, available_time: datetime, step: int, customers: int
) -> int:
    values = sql.SQL(", ").join(
        sql.SQL("floor(1000 * random())::bigint" if feature.type == "integer" else "random()")
        for feature in version.view.features
    )
    count = conn.execute(
        sql.SQL(
            """
            INSERT INTO {} (customer_id, event_time, available_time, ingested_at, seq, is_tombstone, {})
            SELECT number, {}, {}, {}, {}, false, {} FROM generate_series({}, {}, {}) AS number
            """
        ).format(version.history, version.features, SNAPSHOT, available_time, NOW, seq, values, step, customers, step)
    ).rowcount
    conn.execute(
        """
        UPDATE features.view_versions SET last_seq = %s, last_ingested_at = %s
        WHERE view_name = %s AND version = %s
        """,
        (seq, NOW, version.view.name, version.version),
    )
    return count


def _vacuum(conn: Connection, *versions: ViewVersion) -> None:
    conn.autocommit = True
    for version in versions:
        conn.execute(sql.SQL("VACUUM ANALYZE {}, {}").format(version.history, version.online))
    conn.autocommit = False
