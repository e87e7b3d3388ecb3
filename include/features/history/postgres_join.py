"""The point-in-time join in Postgres: one search of the history's index per row of a spine, in the order of the index.

Keys and instants go as arrays, and a whole chunk of picked rows comes back as one row of arrays: nothing is done per
row on the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
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
_MOSTLY = 0.9
_LONGEST_BOUND = timedelta(days=3650)
"""No bound is longer: it would pass over little, and time does not reach back for ever in Postgres."""
_NEVER = np.iinfo(np.int64).max


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
        for selection, own in zip(selections, picks, strict=True):
            _Search(conn, selection, spine, own, mode, known_at).pick(part)

    if len(connections) == 1:
        take(connections[0], parts[0])
    else:
        with ThreadPoolExecutor(len(connections)) as threads:
            list(threads.map(take, connections, parts))
    return picks


def newest_eligible(
    selection: Selection,
    *,
    spine: str,
    keys: Sequence[str],
    at: str,
    mode: Mode,
    known_at: datetime | None,
    within: timedelta | None = None,
) -> sql.Composed:
    """The subquery that picks the row for one row of the relation `spine`; used after LATERAL.

    :param keys: the columns of `spine` with the entity's join keys, in order, and `at` that with the instant.
    :param within: how old a version may be, if that is bounded.
    """
    instant = sql.Identifier(spine, at)
    eligible: list[sql.Composable] = [
        sql.SQL("versions.{} = {}").format(sql.Identifier(key), sql.Identifier(spine, column))
        for key, column in zip(selection.view.entity.key_names, keys, strict=True)
    ]
    eligible.append(sql.SQL("versions.event_time <= {}").format(instant))
    if within is not None:
        bound = sql.SQL("versions.event_time >= {} - {}::interval")
        eligible.append(bound.format(instant, sql.Literal(within)))
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


@dataclass(frozen=True, slots=True)
class _Search:
    """One view's join over one connection."""

    conn: Connection
    selection: Selection
    spine: Spine
    picks: Picks
    mode: Mode
    known_at: datetime | None

    def pick(self, places: Numbers) -> None:
        """Put the picked rows for places of the spine's order."""
        within = None
        for start in range(0, len(places), _ROWS_PER_CHUNK):
            chunk = places[start : start + _ROWS_PER_CHUNK]
            ages = self._pick_chunk(chunk, within)
            missed = np.flatnonzero(ages == _NEVER)
            if within is not None and len(missed):
                ages[missed] = self._pick_chunk(chunk[missed], None)
            within = _enough(ages)

    def _pick_chunk(self, places: Numbers, within: timedelta | None) -> Numbers:
        """Ask for one chunk, and give how old what was found is in microseconds, `_NEVER` where nothing was.

        The columns of the answer are row numbers, event times, tombstones, then those of features.
        """
        positions = self.spine.ordered[places]
        instants = self.spine.instants[positions]
        parameters: list[Any] = [_parameter(key.take(pa.array(positions))) for key in self.spine.keys]
        with self.conn.cursor(binary=True) as cursor:
            cursor.execute(self._query(within), [*parameters, Instants(instants)])
            result = cursor.pgresult
            assert result is not None
            values = [result.get_value(0, number) for number in range(result.nfields)]
        rows = decoded(values[0], "i8")
        event_times = decoded(values[1], "i8") + POSTGRES_EPOCH
        features: dict[str, Values] = {}
        place = len(_ROW_ANSWERS)
        for feature in self.selection.features:
            kind = _KINDS[feature.type]
            features[feature.name] = values_of(values[place : place + width_of(kind)], kind=kind, rows=rows)
            place += width_of(kind)
        self.picks.put(
            places[rows - 1], event_times=event_times, is_tombstone=decoded(values[2], "?"), features=features
        )
        ages = np.full(len(places), _NEVER)
        ages[rows - 1] = instants[rows - 1] - event_times
        return ages

    def _query(self, within: timedelta | None) -> sql.Composed:
        names = [f"key_{number}" for number in range(len(self.spine.keys))]
        join_keys = self.selection.view.entity.join_keys
        arrays = [sql.SQL("%b::{}[]").format(sql.SQL(KEY_TYPES[key.type])) for key in join_keys]
        answers = [part for feature in self.selection.features for part in _answers(feature)]
        picked = newest_eligible(
            self.selection, spine="spine", keys=names, at="at", mode=self.mode, known_at=self.known_at, within=within
        )
        return sql.SQL(
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
            picked=picked,
        )


def _enough(ages: Numbers) -> timedelta | None:
    """How far back to search for rows like these: twice as far as most of them needed; None is without a bound."""
    most = np.partition(ages, int(len(ages) * _MOSTLY))[int(len(ages) * _MOSTLY)]
    bound = None if most == _NEVER else timedelta(microseconds=2 * int(most))
    return bound if bound is not None and bound <= _LONGEST_BOUND else None


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
