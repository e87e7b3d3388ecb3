"""What the query of a view of customers gives, asked without the feature store around it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from include.features.definitions.view import FeatureView

Rows = dict[tuple[int, datetime], dict[str, Any]]
PROVENANCE = "'test', '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z'"


def rows_of(conn: Connection, view: FeatureView, snapshots: Sequence[datetime], customers: Sequence[int]) -> Rows:
    """The features by customer and snapshot."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.entities")
    conn.execute(
        "CREATE TEMPORARY TABLE snapshots AS SELECT unnest(%s::timestamptz[]) AS snapshot_at", (list(snapshots),)
    )
    conn.execute("CREATE TEMPORARY TABLE entities AS SELECT unnest(%s::bigint[]) AS customer_id", (list(customers),))
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(view.query).fetchall()  # type: ignore[call-overload]
    by_key = {(row.pop("customer_id"), row.pop("snapshot_at").astimezone(UTC)): row for row in rows}
    assert len(by_key) == len(rows), "a customer has two rows at a snapshot"
    return by_key


def in_full(rows: Rows) -> dict[tuple[int, datetime], str]:
    """The rows with every digit, so that equal means equal bit for bit."""
    return {key: repr(row) for key, row in rows.items()}
