"""The point-in-time join in Postgres: one search of the history's index per row of a spine, in the order of the index.

Keys and instants go as arrays, and a whole chunk of picked rows comes back as one row of arrays: nothing is done per
row on the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from psycopg import Connection, sql

from include.features.definitions.entity import KEY_TYPES
from include.features.definitions.selection import Selection, feature_expression
from include.features.definitions.view import Feature, FeatureType
from include.features.history.mirror_search import Numbers
from include.features.history.picks import Picks, Values
from include.features.history.postgres_arrays import POSTGRES_EPOCH, Bigints, Instants, decoded, register_arrays
from include.features.history.postgres_columns import aggregates, values_of, width_of
from include.features.history.spine import Spine

Mode = Literal["as_known", "as_corrected"]
_ROWS_PER_CHUNK = 32_768


def pick_in_postgres(
    connections: Sequence[Connection],
    selections: Sequence[Selection],
    spine: Spine,
    *,
    mode: Mode,
    known_at: datetime | None,
) -> list[Picks]:
    """The picked rows of views of one entity, per selection.

    :param connections: each takes an equal part of the keys, in a transaction of its own that sees the same.
    """
    picks = [Picks(selection, spine) for selection in selections]
    parts = np.array_split(np.arange(len(spine.ordered)), len(connections))
    for conn in connections:
        register_arrays(conn)

    def take(conn: Connection, part: Numbers) -> None:
        for start in range(0, len(part), _ROWS_PER_CHUNK):
            for selection, own in zip(selections, picks, strict=True):
                _pick_chunk(conn, selection, spine, part[start : start + _ROWS_PER_CHUNK], own, mode, known_at)

    if len(connections) == 1:
        take(connections[0], parts[0])
    else:
        with ThreadPoolExecutor(len(connections)) as threads:
            list(threads.map(take, connections, parts))
    return picks


def newest_eligible(
    selection: Selection, *, spine: str, keys: Sequence[str], at: str, mode: Mode, known_at: datetime | None
) -> sql.Composed:
    """The subquery that picks the row for one row of the relation `spine`; used after LATERAL.

    :param keys: the columns of `spine` with the entity's join keys, in order, and `at` that with the instant.
    """
    instant = sql.Identifier(spine, at)
    eligible: list[sql.Composable] = [
        sql.SQL("versions.{} = {}").format(sql.Identifier(key), sql.Identifier(spine, column))
        for key, column in zip(selection.view.entity.key_names, keys, strict=True)
    ]
    eligible.append(sql.SQL("versions.event_time <= {}").format(instant))
    if mode == "as_known":
        # IS TRUE keeps it from being a bound of the index, which Postgres would then search at twice the cost.
        eligible.append(sql.SQL("(versions.available_time <= {}) IS TRUE").format(instant))
    if known_at is not None:
        eligible.append(sql.SQL("versions.ingested_at <= {}::timestamptz").format(sql.Literal(known_at)))
    return sql.SQL(
        """
        SELECT versions.* FROM {history} AS versions
        WHERE {eligible}
        ORDER BY versions.event_time DESC, versions.available_time DESC, versions.seq DESC
        LIMIT 1
        """
    ).format(history=selection.version.history, eligible=sql.SQL(" AND ").join(eligible))


def _pick_chunk(
    conn: Connection,
    selection: Selection,
    spine: Spine,
    places: Numbers,
    picks: Picks,
    mode: Mode,
    known_at: datetime | None,
) -> None:
    """Ask for one chunk; the columns of its answer are row numbers, event times, tombstones, then those of features."""
    names = [f"key_{number}" for number in range(len(spine.keys))]
    arrays = [sql.SQL("%b::{}[]").format(sql.SQL(KEY_TYPES[key.type])) for key in selection.view.entity.join_keys]
    answers = [part for feature in selection.features for part in _answers(feature)]
    query = sql.SQL(
        """
        SELECT
            {answers}
        FROM unnest({arrays}, %b::timestamptz[]) WITH ORDINALITY AS spine ({names}, at, row_number)
        CROSS JOIN LATERAL ({picked}) AS picked
        """
    ).format(
        answers=sql.SQL(",\n").join([sql.SQL(part) for part in _ROW_ANSWERS] + answers),
        arrays=sql.SQL(", ").join(arrays),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        picked=newest_eligible(selection, spine="spine", keys=names, at="at", mode=mode, known_at=known_at),
    )
    positions = spine.ordered[places]
    parameters: list[Any] = [_parameter(key.take(pa.array(positions))) for key in spine.keys]
    with conn.cursor(binary=True) as cursor:
        cursor.execute(query, [*parameters, Instants(spine.instants[positions])])
        result = cursor.pgresult
        assert result is not None
        values = [result.get_value(0, number) for number in range(result.nfields)]
    rows = decoded(values[0], "i8")
    features: dict[str, Values] = {}
    place = len(_ROW_ANSWERS)
    for feature in selection.features:
        kind = _KINDS[feature.type]
        features[feature.name] = values_of(values[place : place + width_of(kind)], kind=kind, rows=rows)
        place += width_of(kind)
    picks.put(
        places[rows - 1],
        event_times=decoded(values[1], "i8") + POSTGRES_EPOCH,
        is_tombstone=decoded(values[2], "?"),
        features=features,
    )


_KINDS: dict[FeatureType, str] = {"integer": "i8", "number": "f8", "money": "f8", "text": "text"}
_ROW_ANSWERS = (
    "array_agg(spine.row_number)",
    "array_agg(picked.event_time)",
    "array_agg(picked.is_tombstone)",
)


def _answers(feature: Feature) -> list[sql.Composable]:
    expression = feature_expression(feature, table="picked")
    return aggregates(expression, kind=_KINDS[feature.type], row=sql.Identifier("spine", "row_number"))


def _parameter(key: pa.Array) -> Bigints | list[str]:
    return Bigints(key.to_numpy()) if pa.types.is_integer(key.type) else key.to_pylist()
