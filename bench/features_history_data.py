"""A history of weekly snapshots and rows that ask for it, as files and in the warehouse, the same every time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import Connection, sql

from include.features.definitions.entity import CUSTOMER
from include.features.definitions.versions import ViewVersion, apply_view
from include.features.definitions.view import Feature, FeatureType, FeatureView
from include.features.history.mirror import Mirror

FIRST_SNAPSHOT = datetime(2024, 1, 1, tzinfo=UTC)
SNAPSHOTS = 100
TTL = timedelta(days=90)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
_TYPES: dict[str, FeatureType] = {
    "order_count": "integer",
    "event_count": "integer",
    "revenue_share": "number",
    "tenure_days": "number",
    "gap_days": "number",
    "score": "number",
}
VIEW = FeatureView(
    name="bench_history",
    entity=CUSTOMER,
    features=tuple(
        Feature(name=f"bench_{name}", type=type_, unit="units", description="Numbers for a benchmark.")
        for name, type_ in _TYPES.items()
    ),
    reads=("shop.orders",),
    description="Numbers for a benchmark.",
    owner="bench",
    ttl=TTL,
    query="SELECT orders.customer_id, snapshots.snapshot_at, "
    + ", ".join(
        f"1::{'bigint' if type_ == 'integer' else 'double precision'} AS bench_{name}" for name, type_ in _TYPES.items()
    )
    + " FROM shop.orders CROSS JOIN snapshots CROSS JOIN entities",
)
"""Two whole numbers and four others."""
VIEW_FOR_EVER = replace(VIEW, ttl=None)
"""The same without a TTL; it reads the same table."""


@dataclass(frozen=True)
class HistoryFiles:
    """What was made.

    :param entity_df: Parquet of the rows that ask: `customer_id`, `event_timestamp`.
    :param history: Parquet of the feature rows, sorted by customer and event time.
    :param mirror: the folder of the mirror of the history.
    """

    entity_df: Path
    history: Path
    mirror: Path
    version: ViewVersion


def make_history(conn: Connection, folder: Path, *, entity_rows: int, feature_rows: int) -> HistoryFiles:
    """`feature_rows` as 100 weekly snapshots of as many customers as that makes, and `entity_rows` at random instants
    of the same two years."""
    random = np.random.default_rng(11)
    customers = feature_rows // SNAPSHOTS
    first, week = int(FIRST_SNAPSHOT.timestamp()) * 1_000_000, 7 * 86_400 * 1_000_000
    event_times = np.tile(first + week * np.arange(SNAPSHOTS), customers)
    features: dict[str, pa.Array] = {
        f"bench_{name}": pa.array(
            random.integers(0, 1_000, customers * SNAPSHOTS)
            if type_ == "integer"
            else random.random(customers * SNAPSHOTS)
        )
        for name, type_ in _TYPES.items()
    }
    history = pa.table(
        {
            "customer_id": pa.array(np.repeat(np.arange(1, customers + 1), SNAPSHOTS)),
            "event_time": _instants(event_times),
            "available_time": _instants(event_times),
            **features,
        }
    )
    entity_df = pa.table(
        {
            "customer_id": pa.array(random.integers(1, customers + 1, entity_rows)),
            "event_timestamp": _instants(first + random.integers(0, week * (SNAPSHOTS + 4), entity_rows)),
        }
    )
    files = HistoryFiles(
        folder / "entity_df.parquet",
        folder / "history.parquet",
        folder / "mirror",
        apply_view(conn, VIEW, now=NOW),
    )
    pq.write_table(entity_df, files.entity_df)
    pq.write_table(history, files.history, row_group_size=200_000)
    _copy(conn, files.version, history)
    Mirror(str(files.mirror)).update(conn, files.version)
    conn.commit()
    return files


def _copy(conn: Connection, version: ViewVersion, history: pa.Table) -> None:
    """Into the table as builds write it: in order of its keys, in one transaction."""
    count = len(history)
    rows = history.append_column("ingested_at", history["available_time"])
    rows = rows.append_column("seq", pa.repeat(pa.scalar(1, pa.int64()), count))
    rows = rows.append_column("is_tombstone", pa.repeat(pa.scalar(False), count))
    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    names = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    with conn.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(version.history, names)) as copy:
        copy.write(encoder.write_header())
        for batch in rows.to_batches(max_chunksize=65_536):
            copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())
    conn.execute(
        "UPDATE features.view_versions SET last_seq = 1, last_ingested_at = %s WHERE view_name = %s",
        (NOW, version.view.name),
    )
    conn.execute(
        """
        INSERT INTO features.built_snapshots (view_name, version, event_time, built_at)
        SELECT %s, %s, %s + number * interval '7 days', %s FROM generate_series(0, %s - 1) AS number
        """,
        (version.view.name, version.version, FIRST_SNAPSHOT, NOW, SNAPSHOTS),
    )
    conn.commit()
    conn.autocommit = True
    conn.execute(sql.SQL("VACUUM ANALYZE {}").format(version.history))
    conn.autocommit = False


def _instants(microseconds: np.ndarray) -> pa.Array:
    return pa.array(microseconds, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
