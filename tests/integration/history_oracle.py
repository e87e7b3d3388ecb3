"""Histories of test views, written row by row, and the point-in-time join the plain way: by looking at every row.

The views have the shapes that joins go wrong with: one whole-number key, two of them, a text, and both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from psycopg import Connection, sql

from include.features.definitions.entity import Entity, JoinKey
from include.features.definitions.versions import ViewVersion, apply_view
from include.features.definitions.view import Feature, FeatureView
from include.features.registry import Registry

EPOCH = datetime(2024, 3, 31, 1, 0, tzinfo=UTC)  # when clocks in Europe went forward
TTL = timedelta(microseconds=3)

_POPULATIONS = {"integer": "order_id", "text": "order_number"}


def _view(name: str, *keys: JoinKey, ttl: timedelta | None = TTL) -> FeatureView:
    columns = [f"{_POPULATIONS[key.type]} AS {key.name}" for key in keys]
    population = f"SELECT DISTINCT {', '.join(columns)} FROM shop.orders"
    entity = Entity(name=f"{name}_entity", join_keys=keys, description="for tests", population=population)
    return FeatureView(
        name=name,
        entity=entity,
        features=(
            Feature(name=f"{name}_whole", type="integer", unit="one", description="a whole number"),
            Feature(name=f"{name}_number", type="number", unit="one", description="a float"),
            Feature(name=f"{name}_money", type="money", unit="currency", description="an amount"),
            Feature(name=f"{name}_text", type="text", unit="text", description="a text"),
        ),
        reads=("shop.orders",),
        description="for tests",
        owner="tests",
        ttl=ttl,
        query=f"""
            SELECT {", ".join(columns)}, snapshot_at, 1::bigint AS {name}_whole, 1::double precision AS {name}_number,
                1::numeric AS {name}_money, 'x'::text AS {name}_text
            FROM shop.orders CROSS JOIN snapshots
        """,
    )


BY_NUMBER = _view("by_number", JoinKey("left_id"))
BY_PAIR = _view("by_pair", JoinKey("left_id"), JoinKey("right_id"))
BY_TEXT = _view("by_text", JoinKey("code", "text"), ttl=None)
BY_BOTH = _view("by_both", JoinKey("left_id"), JoinKey("code", "text"))
VIEWS = (BY_NUMBER, BY_PAIR, BY_TEXT, BY_BOTH)
REGISTRY = Registry(views=VIEWS)

NUMBERS = (1, 12, 123, -1, 2**53, 2**53 + 1, 2**63 - 1)
CODES = ("1", "12", "3", "23", "", "a,b", "a", ",b", 'say "x"', "it's", "\\N", "naïve", "🙂", "line\nbreak", "A", "Ω|ß")
VALUES = {"integer": NUMBERS, "text": CODES}


def at(tick: int) -> datetime:
    """Ticks of a microsecond, so that the finest edges are the ordinary case."""
    return EPOCH + timedelta(microseconds=tick)


@dataclass(frozen=True)
class Row:
    """A row of a history; instants in ticks."""

    key: tuple[Any, ...]
    event: int = 0
    available: int = 0
    ingested: int = 0
    seq: int = 1
    is_tombstone: bool = False
    values: tuple[Any, ...] = (1, 1.5, Decimal("0.1000"), "x")

    @property
    def order(self) -> tuple[int, int, int]:
        return self.event, self.available, self.seq


ticks = st.integers(0, 8)
_MONEY = st.decimals(min_value=-(10**14) + 1, max_value=10**14 - 1, places=4, allow_nan=False)
_FEATURES = st.tuples(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), _MONEY),
    st.one_of(st.none(), st.sampled_from(CODES)),
)


def keys_of(view: FeatureView) -> st.SearchStrategy[tuple[Any, ...]]:
    """Few of them, so that rows meet."""
    return st.tuples(*(st.sampled_from(VALUES[key.type]) for key in view.entity.join_keys))


def histories(view: FeatureView) -> st.SearchStrategy[list[Row]]:
    rows = st.builds(
        Row, keys_of(view), ticks, ticks, ticks, st.integers(1, 3), st.booleans(), _FEATURES
    )  # fmt: skip
    return st.lists(rows, max_size=30, unique_by=lambda row: (row.key, row.order))


def write(conn: Connection, view: FeatureView, rows: Iterable[Row], *, add: bool = False) -> ViewVersion:
    """Make `rows` the history of a view, or add them to it."""
    version = apply_view(conn, view, now=EPOCH)
    if not add:
        conn.execute(sql.SQL("TRUNCATE {}").format(version.history))
    columns = sql.SQL("{}, event_time, available_time, ingested_at, seq, is_tombstone, {}").format(
        version.keys, version.features
    )
    with conn.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(version.history, columns)) as copy:
        for row in rows:
            copy.write_row(
                (*row.key, at(row.event), at(row.available), at(row.ingested), row.seq, row.is_tombstone, *row.values)
            )
    return version


def plainly_joined(
    view: FeatureView,
    history: Sequence[Row],
    key: Sequence[Any],
    tick: int,
    *,
    mode: str = "as_known",
    known_at: int | None = None,
) -> tuple[Any, ...]:
    """The status and the features of one row of a spine, as readers get them."""
    nothing = (None,) * len(view.features)
    picked = None
    for row in history:
        if row.key != tuple(key) or row.event > tick:
            continue
        if mode == "as_known" and row.available > tick:
            continue
        if known_at is not None and row.ingested > known_at:
            continue
        if picked is None or row.order > picked.order:
            picked = row
    if picked is None or picked.is_tombstone:
        return ("not found", *nothing)
    if view.ttl is not None and at(tick) - at(picked.event) > view.ttl:
        return ("outside ttl", *nothing)
    return ("present", *(float(value) if isinstance(value, Decimal) else value for value in picked.values))
