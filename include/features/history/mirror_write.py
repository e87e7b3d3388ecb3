"""Rows of history into the sorted files of a mirror, chunk by chunk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection, sql

from include.features.definitions.versions import ViewVersion
from include.features.history.mirror_store import Block, Layer, MirrorStore, Part
from include.features.history.picks import Values
from include.features.history.postgres_arrays import POSTGRES_EPOCH
from include.features.history.postgres_columns import aggregates, values_of, width_of
from include.features.history.spine import INSTANT

_ROWS_PER_BLOCK = 131_072
_BLOCKS_PER_PART = 4
_PAGES_PER_CHUNK = 512
MONEY = pa.decimal128(18, 4)


def write_layer(conn: Connection, store: MirrorStore, version: ViewVersion, *, below: Layer | None) -> Layer | None:
    """Everything that was written to history since the layer `below` as one layer; None if that is nothing.

    Runs in the transaction that `conn` is in. Postgres sorts on disk; here a few blocks are held at once, and all rows
    of one key.
    """
    conn.execute("DROP TABLE IF EXISTS pg_temp.mirrored")
    conn.execute(
        sql.SQL(
            """
            CREATE TEMPORARY TABLE mirrored ON COMMIT DROP AS
            SELECT
                row_number() OVER (ORDER BY {keys}, event_time, available_time, seq) AS number,
                {digest} AS row_digest, history.*
            FROM {history} AS history
            WHERE NOT {is_mirrored}
            """
        ).format(keys=version.keys, digest=row_hash("history"), history=version.history, is_mirrored=is_in(below))
    )
    after_seq = below.through_seq if below else 0
    after_ingested = below.through_ingested if below else "-infinity"
    row = conn.execute(
        """
        SELECT
            count(*), greatest(max(seq), %s),
            (greatest(max(ingested_at), %s::timestamptz) AT TIME ZONE 'UTC')::text || '+00',
            sum(row_digest)
        FROM mirrored
        """,
        (after_seq, after_ingested),
    ).fetchone()
    assert row is not None
    if not row[0]:
        return None
    columns = _columns(version)
    schema = pa.schema([(name, arrow_type) for name, _, _, arrow_type in columns])
    blocks = _blocks(_chunks(conn, columns, schema), version.view.entity.key_names)
    parts: list[Part] = []
    while some := list(itertools.islice(blocks, _BLOCKS_PER_PART)):
        parts.append(store.write_part(schema, some))
    conn.execute("DROP TABLE mirrored")
    return Layer(after_seq, row[1], row[0], tuple(parts), row[2], int(row[3]))


def row_hash(table: str) -> sql.Composable:
    """A hash of 64 bits of a whole row; their sum tells sets of rows apart."""
    return sql.SQL("hash_record_extended({}, 0)").format(sql.Identifier(table))


def is_in(layer: Layer | None) -> sql.Composable:
    """The condition that a row of history is in this layer or one below."""
    if layer is None:
        return sql.SQL("false")
    return sql.SQL("(seq <= {} AND ingested_at <= {}::timestamptz)").format(
        sql.Literal(layer.through_seq), sql.Literal(layer.through_ingested)
    )


Column = tuple[str, sql.Composable, str, pa.DataType]
"""A name, what to select for it, how that is decoded, and its type in the file."""


def _columns(version: ViewVersion) -> list[Column]:
    view = version.view
    own: list[tuple[str, str]] = [(key.name, key.type) for key in view.entity.join_keys]
    own += [(name, "instant") for name in ("event_time", "available_time", "ingested_at")]
    own += [("seq", "integer"), ("is_tombstone", "flag")]
    own += [(feature.name, feature.type) for feature in view.features]
    kinds = {
        "integer": ("i8", pa.int64()),
        "number": ("f8", pa.float64()),
        "money": ("i8", MONEY),
        "text": ("text", pa.string()),
        "instant": ("i8", INSTANT),
        "flag": ("?", pa.bool_()),
    }
    expressions = {"money": "({} * 10000)::bigint"}
    return [
        (name, sql.SQL(expressions.get(kind, "{}")).format(sql.Identifier("mirrored", name)), *kinds[kind])
        for name, kind in own
    ]


def _chunks(conn: Connection, columns: list[Column], schema: pa.Schema) -> Iterator[pa.Table]:
    """The sorted rows, in the order in which they lie on the pages of their table."""
    pages = conn.execute(
        "SELECT pg_relation_size('pg_temp.mirrored') / current_setting('block_size')::bigint"
    ).fetchone()
    assert pages is not None
    number = sql.Identifier("mirrored", "number")
    answers: list[sql.Composable] = [sql.SQL("array_agg({})").format(number)]
    answers += [part for _, expression, kind, _ in columns for part in aggregates(expression, kind=kind, row=number)]
    query = sql.SQL("SELECT {} FROM mirrored WHERE ctid >= %s::tid AND ctid < %s::tid").format(
        sql.SQL(", ").join(answers)
    )
    for page in range(0, pages[0], _PAGES_PER_CHUNK):
        with conn.cursor(binary=True) as cursor:
            cursor.execute(query, (f"({page},0)", f"({page + _PAGES_PER_CHUNK},0)"))
            result = cursor.pgresult
            assert result is not None
            values = [result.get_value(0, column) for column in range(result.nfields)]
        yield _table(values, columns, schema)


def _table(values: list[bytes | None], columns: list[Column], schema: pa.Schema) -> pa.Table:
    numbers_answer, place = values[:1], 1
    rows = values_of([None, *numbers_answer], kind="i8", rows=np.empty(0, dtype=np.int64))[0]
    arrays = []
    for _, _, kind, arrow_type in columns:
        answer = values[place : place + width_of(kind)]
        arrays.append(_array(values_of(answer, kind=kind, rows=rows), arrow_type))
        place += width_of(kind)
    return pa.table(arrays, schema=schema)


def _array(values: Values, arrow_type: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    numbers, is_valid = values
    if arrow_type == INSTANT:
        numbers = numbers + POSTGRES_EPOCH
    if arrow_type == MONEY:
        return _money(numbers, is_valid)
    array = pa.array(numbers, mask=None if is_valid is None else ~is_valid)
    return array.view(INSTANT) if arrow_type == INSTANT else array


def _money(ten_thousandths: npt.NDArray[np.int64], is_valid: npt.NDArray[np.bool_] | None) -> pa.Array:
    """Whole ten-thousandths as decimals: 128 bits, the lower half first."""
    halves = np.stack([ten_thousandths, ten_thousandths >> 63], axis=1)
    validity = None if is_valid is None else pa.py_buffer(np.packbits(is_valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(MONEY, len(ten_thousandths), [validity, pa.py_buffer(halves.tobytes())])


def _blocks(chunks: Iterator[pa.Table], keys: tuple[str, ...]) -> Iterator[tuple[pa.Table, Block]]:
    """Rows cut where a key ends, once there are enough of them."""
    waiting: list[pa.Table] = []
    for chunk in chunks:
        waiting.append(chunk)
        if sum(map(len, waiting)) >= _ROWS_PER_BLOCK:
            table = pa.concat_tables(waiting).combine_chunks()
            end = _start_of_last_key(table, keys)
            waiting = [table.slice(end)]
            if end:
                yield _block(table.slice(0, end), keys)
    if rest := sum(map(len, waiting)):
        yield _block(pa.concat_tables(waiting).combine_chunks().slice(0, rest), keys)


def _start_of_last_key(table: pa.Table, keys: tuple[str, ...]) -> int:
    is_last = pc.equal(table[keys[0]], table[keys[0]][-1])
    for key in keys[1:]:
        is_last = pc.and_(is_last, pc.equal(table[key], table[key][-1]))
    return len(table) - pc.sum(is_last).as_py()


def _block(table: pa.Table, keys: tuple[str, ...]) -> tuple[pa.Table, Block]:
    delays = pc.subtract(table["available_time"].cast(pa.int64()), table["event_time"].cast(pa.int64()))
    first = table[keys[0]]
    return table, Block(
        rows=len(table),
        first=first[0].as_py(),
        last=first[-1].as_py(),
        most_delay=pc.max(delays).as_py(),
        tombstones=pc.sum(table["is_tombstone"]).as_py(),
    )
