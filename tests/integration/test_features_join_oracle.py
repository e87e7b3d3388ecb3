"""Every way of joining history, against a plain search through all of its rows."""

from __future__ import annotations

import struct
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from psycopg import sql

from include.features.definitions.versions import ViewVersion, current_version
from include.features.history import postgres_join
from include.features.history.historical import get_historical_features
from include.features.history.mirror import Mirror
from tests.integration.history_oracle import (
    BY_BOTH,
    BY_NUMBER,
    BY_PAIR,
    BY_TEXT,
    CODES,
    NUMBERS,
    REGISTRY,
    VIEWS,
    Row,
    at,
    histories,
    plainly_joined,
    ticks,
    write,
)
from tests.properties import examples

INSTANT = pa.timestamp("us", "UTC")
Spine = list[tuple[int | None, int | None, str | None, int]]
"""Rows of left_id, right_id, code and tick."""

spines: st.SearchStrategy[Spine] = st.lists(
    st.tuples(
        st.sampled_from([*NUMBERS, None, 7]),
        st.sampled_from([*NUMBERS, None, 7]),
        st.sampled_from([*CODES, None, "unknown"]),
        ticks,
    ),
    max_size=40,
)


def table_of(spine: Spine) -> pa.Table:
    lefts, rights, codes, instants = zip(*spine, strict=True) if spine else ((), (), (), ())
    return pa.table(
        {
            "position": pa.array(range(len(spine)), pa.int64()),
            "code": pa.array(codes, pa.string()),
            "event_timestamp": pa.array(map(at, instants), INSTANT),
            "right_id": pa.array(rights, pa.int64()),
            "left_id": pa.array(lefts, pa.int64()),
        }
    )


def in_pandas(conn, dsn, table, wanted, **how) -> pa.Table:
    frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    joined = get_historical_features(conn, frame, wanted, registry=REGISTRY, **how).to_df()
    return pa.Table.from_pandas(joined, preserve_index=False)


def in_arrow(conn, dsn, table, wanted, **how) -> pa.Table:
    return get_historical_features(conn, table, wanted, registry=REGISTRY, **how).to_arrow()


def over_two_connections(conn, dsn, table, wanted, **how) -> pa.Table:
    """In chunks of few rows, so that each is searched as far back as the one before shows to be enough."""
    conn.commit()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres_join, "_ROWS_PER_CHUNK", max(3, len(table) // 100))
        return get_historical_features(conn, table, wanted, registry=REGISTRY, dsn=dsn, **how).to_arrow()


def to_a_table(conn, dsn, table, wanted, **how) -> pa.Table:
    conn.execute("DROP TABLE IF EXISTS ml.joined")
    count = get_historical_features(conn, table, wanted, registry=REGISTRY, **how).to_table("joined")
    return of_table(conn, count)


def from_a_relation_to_a_table(conn, dsn, table, wanted, **how) -> pa.Table:
    put_entity_rows(conn, table)
    conn.execute("DROP TABLE IF EXISTS ml.joined")
    source = "SELECT * FROM ml.entity_rows ORDER BY position"
    return of_table(conn, get_historical_features(conn, source, wanted, registry=REGISTRY, **how).to_table("joined"))


def from_a_relation(conn, dsn, table, wanted, **how) -> pa.Table:
    put_entity_rows(conn, table)
    return get_historical_features(conn, "ml.entity_rows", wanted, registry=REGISTRY, **how).to_arrow()


def put_entity_rows(conn, table: pa.Table) -> None:
    conn.execute("DROP TABLE IF EXISTS ml.entity_rows")
    conn.execute(
        """CREATE TABLE ml.entity_rows (position bigint, code text, event_timestamp timestamptz, right_id bigint,
        left_id bigint)"""
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ml.entity_rows VALUES (%s, %s, %s, %s, %s)", [tuple(row.values()) for row in table.to_pylist()]
        )


def of_table(conn, count: int) -> pa.Table:
    cursor = conn.execute("SELECT * FROM ml.joined ORDER BY row_number")
    names = [column.name for column in cursor.description]
    rows = cursor.fetchall()
    assert len(rows) == count
    assert [row[0] for row in rows] == list(range(count))
    return pa.table({name: [row[number] for row in rows] for number, name in enumerate(names)})


def from_a_mirror(conn, dsn, table, wanted, **how) -> pa.Table:
    """Written in three steps by seq, so that it has layers, and read without the database."""
    with TemporaryDirectory() as folder:
        mirror = Mirror(folder)
        for view in wanted:
            version = current_version(conn, view)
            update_in_steps(conn, mirror, version)
        return mirror.get_historical_features(table, wanted, registry=REGISTRY, **how).to_arrow()


def update_in_steps(conn, mirror: Mirror, version: ViewVersion) -> None:
    conn.execute(sql.SQL("CREATE TEMPORARY TABLE aside AS SELECT * FROM {}").format(version.history))
    conn.execute(sql.SQL("TRUNCATE {}").format(version.history))
    for seq in (1, 2, 3):
        conn.execute(sql.SQL("INSERT INTO {} SELECT * FROM aside WHERE seq = %s").format(version.history), (seq,))
        mirror.update(conn, version)
    conn.execute("DROP TABLE aside")


ENGINES = [
    from_a_mirror,
    in_pandas,
    in_arrow,
    over_two_connections,
    to_a_table,
    from_a_relation_to_a_table,
    from_a_relation,
]


@pytest.mark.parametrize("engine", ENGINES)
@examples(40)
@given(
    rows=st.tuples(*(histories(view) for view in VIEWS)),
    spine=spines,
    mode=st.sampled_from(["as_known", "as_corrected"]),
    known_at=st.one_of(st.none(), ticks),
)
def test_every_way_of_joining_equals_a_plain_search(warehouse, warehouse_dsn, engine, rows, spine, mode, known_at):
    for view, history in zip(VIEWS, rows, strict=True):
        write(warehouse, view, history)
    spine = spine + aimed(rows)
    joined = engine(
        warehouse, warehouse_dsn, table_of(spine), VIEWS, mode=mode, known_at=None if known_at is None else at(known_at)
    )
    assert joined["position"].to_pylist() == list(range(len(spine)))
    for view, history in zip(VIEWS, rows, strict=True):
        keys = [
            [dict(zip(("left_id", "right_id", "code"), row, strict=False))[name] for name in view.entity.key_names]
            for row in spine
        ]
        names = (f"{view.name}_status", *view.feature_names)
        found = list(zip(*(joined[name].to_pylist() for name in names), strict=True))
        wanted = [
            plainly_joined(view, history, key, row[3], mode=mode, known_at=known_at)
            for key, row in zip(keys, spine, strict=True)
        ]
        for status, *_ in found:
            event(status)
        assert bits(found) == bits(wanted), view.name


def aimed(rows: tuple[list[Row], ...]) -> Spine:
    """Rows of a spine for keys that histories have, at and beside their event times."""
    by_number, by_pair, by_text, by_both = rows
    return [
        *((row.key[0], None, None, row.event) for row in by_number),
        *((*row.key, None, row.event + 3) for row in by_pair),
        *((None, 1, row.key[0], row.event + 1) for row in by_text),
        *((row.key[0], 1, row.key[1], row.event + 4) for row in by_both),
    ]


def bits(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Floats as their bits, so that 0.0 is not -0.0."""
    return [tuple(struct.pack("d", each) if isinstance(each, float) else each for each in row) for row in rows]


@pytest.mark.parametrize("engine", ENGINES)
def test_pairs_and_texts_that_look_alike_when_written_side_by_side_stay_apart(warehouse, warehouse_dsn, engine):
    pairs = [(1, 23), (12, 3), (123, 1), (1, 123)]
    write(warehouse, BY_PAIR, [Row(pair, values=(number, None, None, None)) for number, pair in enumerate(pairs)])
    both = [(1, "1"), (1, "12"), (12, "1"), (1, "a,b"), (1, "a")]
    write(warehouse, BY_BOTH, [Row(key, values=(number, None, None, None)) for number, key in enumerate(both)])
    spine: Spine = [(*pair, None, 1) for pair in reversed(pairs)] + [(12, 31, None, 1), (2, 3, None, 1)]
    spine += [(left, None, code, 1) for left, code in reversed(both)] + [(1, None, "b", 1), (11, None, "2", 1)]
    joined = engine(warehouse, warehouse_dsn, table_of(spine), [BY_PAIR, BY_BOTH])
    assert joined["by_pair_whole"].to_pylist()[:6] == [3, 2, 1, 0, None, None]
    assert joined["by_both_whole"].to_pylist()[6:] == [4, 3, 2, 1, 0, None, None]


@pytest.mark.parametrize("engine", ENGINES)
def test_no_rows_at_all_give_the_columns(warehouse, warehouse_dsn, engine):
    write(warehouse, BY_NUMBER, [])
    write(warehouse, BY_TEXT, [Row(("a",))])
    joined = engine(warehouse, warehouse_dsn, table_of([]), [BY_NUMBER, BY_TEXT])
    assert joined.num_rows == 0
    assert {"by_number_money", "by_number_status", "by_text_text", "by_text_status"} <= set(joined.column_names)


@pytest.mark.parametrize("engine", ENGINES)
def test_many_rows_of_few_keys_come_back_in_their_places(warehouse, warehouse_dsn, engine):
    """More rows than one chunk holds, unsorted, each instant many times."""
    write(
        warehouse,
        BY_NUMBER,
        [
            Row((key,), event, event, values=(key * 10 + event, None, None, f"{key}{event}"))
            for key in (1, 12)
            for event in range(5)
        ],
    )
    spine: Spine = [((1, 12, 7, None)[number % 4], None, None, number * 7919 % 5) for number in range(70_001)]
    joined = engine(warehouse, warehouse_dsn, table_of(spine), [BY_NUMBER])
    wanted = [key * 10 + tick if key in (1, 12) else None for key, _, _, tick in spine]
    assert joined["by_number_whole"].to_pylist() == wanted
    assert joined["by_number_text"].to_pylist()[:6] == ["10", "124", None, None, "11", "120"]
