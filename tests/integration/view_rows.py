"""What the query of a view gives, asked without the feature store around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from include.features.definitions.view import FeatureView

Rows = dict[tuple[int, datetime], dict[str, Any]]
PROVENANCE = "'test', '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z'"


def rows_of(conn: Connection, view: FeatureView, snapshots: Sequence[datetime], keys: Sequence[int]) -> Rows:
    """The features by key and snapshot, in that order."""
    (name,) = view.entity.key_names
    conn.execute("DROP TABLE IF EXISTS pg_temp.snapshots, pg_temp.entities")
    conn.execute(
        "CREATE TEMPORARY TABLE snapshots AS SELECT unnest(%s::timestamptz[]) AS snapshot_at", (list(snapshots),)
    )
    conn.execute(f"CREATE TEMPORARY TABLE entities AS SELECT unnest(%s::bigint[]) AS {name}", (list(keys),))
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(view.query).fetchall()  # type: ignore[call-overload]
    by_key = {(row.pop(name), row.pop("snapshot_at").astimezone(UTC)): row for row in rows}
    assert len(by_key) == len(rows), "a key has two rows at a snapshot"
    return dict(sorted(by_key.items()))


def assert_same_to_the_bit(found: dict[str, Any], expected: dict[str, Any], *, where: object) -> None:
    """Two rows of features have the same names and values."""
    assert found == expected, where


def assert_rows_are(
    found: Rows,
    plain: Callable[[Any, int, datetime], dict[str, Any] | None],
    facts: Any,
    keys: Sequence[int],
    snapshots: Sequence[datetime],
    *,
    assert_same: Callable[..., None] = assert_same_to_the_bit,
) -> int:
    """The rows are those that `plain` makes of the facts, none more, none less; gives their number.

    :param plain: from the facts, a key and a snapshot to the features; to None where there is no row.
    """
    every = {(key, snapshot): plain(facts, key, snapshot) for key in keys for snapshot in snapshots}
    expected = {place: features for place, features in every.items() if features is not None}
    assert found.keys() == expected.keys()
    for place, features in expected.items():
        assert_same(found[place], features, where=place)
    return len(expected)


def in_full(rows: Rows) -> dict[tuple[int, datetime], str]:
    """The rows with every digit, so that equal means equal bit for bit."""
    return {key: repr(row) for key, row in rows.items()}


def assert_alone_as_together(
    conn: Connection, view: FeatureView, snapshots: Sequence[datetime], keys: Sequence[int]
) -> int:
    """Each key and each snapshot that is wanted alone gets the rows that it gets among others; gives their number."""
    together = in_full(rows_of(conn, view, snapshots, keys))
    of_keys = [in_full(rows_of(conn, view, snapshots, [key])) for key in keys]
    of_snapshots = [in_full(rows_of(conn, view, [snapshot], keys)) for snapshot in snapshots]
    for parts in (of_keys, of_snapshots):
        assert {place: row for part in parts for place, row in part.items()} == together
    assert rows_of(conn, view, snapshots, ()) == rows_of(conn, view, [], keys) == {}
    return len(together)
