"""The point-in-time join: features as they were known at the instant of each spine row."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from psycopg import Connection, sql

from include.entities.window import NaiveTime
from include.features.selection import (
    ARROW_TYPES,
    NOT_FOUND,
    PRESENT,
    Selection,
    feature_expressions,
    selections_of,
    status_expression,
)
from include.features.spine import BadSpine, Spine, read_spine
from include.features.view import FeatureView

Mode = Literal["as_known", "as_corrected"]
Frame = TypeVar("Frame", pd.DataFrame, pa.Table)

# Postgres counts microseconds from 2000-01-01.
_POSTGRES_EPOCH = np.int64(946_684_800_000_000)


def historical_features(
    conn: Connection,
    spine: Frame,
    features: Sequence[FeatureView | str],
    *,
    mode: Mode = "as_known",
    known_at: datetime | None = None,
    time_column: str = "at",
    label_start_column: str | None = None,
) -> Frame:
    """Join features to a spine of `(entity key, time)` rows, as each was known at its row's time.

    The result has one row per spine row, in its order, with its columns and index, then per view its features and
    `<view>_status`: `present`; `not found` (nothing known by then, a null key, or a tombstone); `outside ttl`. For
    each row that history version is taken which has the greatest `(event_time, available_time, seq)` of those with
    `event_time <= T` and `available_time <= T`. A null feature in it stays null.

    :param spine: pandas or Arrow; the result is the same. Keys are integers, times have a time zone and count to the
        microsecond. Whole numbers come as `Int64` in pandas, money as 64-bit float.
    :param features: views, names of views, or `view:feature`.
    :param mode: `as_corrected` also takes versions that became available after T, still of snapshots up to T.
    :param known_at: take only versions written up to this instant, so that a training set can be built again.
    :param label_start_column: a column with the start of each row's label window, checked against its time.
    :raises BadSpine: rows or columns cannot be used; the text names them. Nothing was asked of the database.
    :raises LabelBeforeSpine: a label window starts before its row's time.
    :raises UnknownFeature: a view or feature of that name is not registered.
    """
    if mode not in ("as_known", "as_corrected"):
        raise ValueError(f"mode is {mode!r}; it is 'as_known' or 'as_corrected'.")
    if known_at is not None and known_at.tzinfo is None:
        raise NaiveTime(f"known_at ({known_at.isoformat()}) has no time zone. Give one.")
    selections = selections_of(conn, features)
    added = [name for selection in selections for name in selection.columns]
    taken = sorted(set(added) & set(spine.column_names if isinstance(spine, pa.Table) else spine.columns))
    if taken:
        raise BadSpine(f"The spine has columns named like features: {', '.join(taken)}. Give them other names.")
    checked = {
        key: read_spine(spine, key=key, time_column=time_column, label_start_column=label_start_column)
        for key in dict.fromkeys(selection.view.entity.key_names[0] for selection in selections)
    }
    columns: dict[str, pa.Array] = {}
    with conn.transaction():
        for key, rows in checked.items():
            _send_spine(conn, rows)
            for selection in selections:
                if selection.view.entity.key_names[0] == key:
                    picked = _pick(conn, selection, mode=mode, known_at=known_at)
                    columns |= _by_position(picked, selection, row_count=len(rows.keys))
    return _with_columns(spine, {name: columns[name] for name in added})


def _send_spine(conn: Connection, spine: Spine) -> None:
    """Put the rows that have a key, numbered by position and sorted by key for the index, into a temporary table."""
    conn.execute("DROP TABLE IF EXISTS pg_temp.spine")
    conn.execute("CREATE TEMPORARY TABLE spine (row_number bigint, entity_key bigint, at timestamptz) ON COMMIT DROP")
    positions = np.flatnonzero(spine.has_key)
    positions = positions[np.lexsort((spine.instants[positions], spine.keys[positions]))]
    with conn.cursor().copy("COPY spine FROM STDIN (FORMAT binary)") as copy:
        copy.write(_binary_copy(positions, spine.keys[positions], spine.instants[positions] - _POSTGRES_EPOCH))
    conn.execute("ANALYZE spine")


def _binary_copy(*columns: npt.NDArray[np.int64]) -> bytes:
    """64-bit integers without nulls in the wire format of COPY BINARY (timestamptz is one of them)."""
    fields: list[tuple[str, str]] = [("field_count", ">i2")]
    for number in range(len(columns)):
        fields += [(f"size_{number}", ">i4"), (f"value_{number}", ">i8")]
    tuples = np.empty(len(columns[0]), dtype=np.dtype(fields))
    tuples["field_count"] = len(columns)
    for number, column in enumerate(columns):
        tuples[f"size_{number}"] = 8
        tuples[f"value_{number}"] = column
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + tuples.tobytes() + b"\xff\xff"


def _pick(conn: Connection, selection: Selection, *, mode: Mode, known_at: datetime | None) -> pa.Table:
    """The picked rows: number of the spine row, status, features."""
    view = selection.view
    eligible: list[sql.Composable] = [
        sql.SQL("versions.{} = spine.entity_key AND versions.event_time <= spine.at").format(selection.version.keys)
    ]
    if mode == "as_known":
        eligible.append(sql.SQL("versions.available_time <= spine.at"))
    if known_at is not None:
        eligible.append(sql.SQL("versions.ingested_at <= %(known_at)s::timestamptz"))
    query = sql.SQL(
        """
        COPY (
            SELECT spine.row_number, {status}, {features}
            FROM spine
            CROSS JOIN LATERAL (
                SELECT versions.* FROM {history} AS versions
                WHERE {eligible}
                ORDER BY versions.event_time DESC, versions.available_time DESC, versions.seq DESC
                LIMIT 1
            ) AS picked
        ) TO STDOUT (FORMAT csv)
        """
    ).format(
        status=status_expression(table="picked", at=sql.SQL("spine.at")),
        features=feature_expressions(selection, table="picked"),
        history=selection.version.history,
        eligible=sql.SQL(" AND ").join(eligible),
    )
    text = io.BytesIO()
    with conn.cursor().copy(query, {"ttl": view.ttl, "known_at": known_at}) as copy:
        for block in copy:
            text.write(block)
    types = {"row_number": pa.int64(), selection.status_column: pa.string()}
    types |= {feature.name: ARROW_TYPES[feature.type] for feature in selection.features}
    if not text.tell():
        return pa.schema(types.items()).empty_table()
    text.seek(0)
    return pyarrow.csv.read_csv(
        text,
        read_options=pyarrow.csv.ReadOptions(column_names=list(types)),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


def _by_position(picked: pa.Table, selection: Selection, *, row_count: int) -> dict[str, pa.Array]:
    """The picked rows spread to the positions of the spine; features are null unless present."""
    positions = np.full(row_count, -1, dtype=np.int64)
    positions[picked["row_number"].to_numpy()] = np.arange(len(picked))
    spread = picked.take(pa.array(positions, mask=positions < 0))
    status = spread[selection.status_column].combine_chunks().fill_null(NOT_FOUND)
    is_present = pc.equal(status, PRESENT)
    columns = {
        feature.name: pc.if_else(is_present, spread[feature.name].combine_chunks(), None)
        for feature in selection.features
    }
    return columns | {selection.status_column: status}


def _with_columns(spine: Frame, columns: dict[str, pa.Array]) -> Frame:
    if isinstance(spine, pa.Table):
        for name, array in columns.items():
            spine = spine.append_column(name, array)
        return spine
    added = pa.table(columns).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    added.index = spine.index
    return pd.concat([spine, added], axis="columns")


def _name(*parts: str) -> sql.Identifier:
    return sql.Identifier(*parts)
