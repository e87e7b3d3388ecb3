"""The point-in-time join: features as they were known at the instant of each row of an entity frame."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from psycopg import Connection

from include.entities.window import refuse_naive
from include.features.definitions.entity import JoinKey
from include.features.definitions.on_demand import ON_DEMAND_FEATURES, OnDemandFeature, compute_on_demand, inputs_of
from include.features.definitions.selection import (
    Selection,
    VersionsInDatabase,
    VersionSource,
    Wanted,
    selections_of,
    wanted_items,
)
from include.features.history.picks import Picks
from include.features.history.postgres_join import Mode, pick_in_postgres
from include.features.history.relation import read_relation
from include.features.history.spine import INSTANT, Spine, read_instants, read_keys, refuse_taken_names
from include.features.history.table_join import TableJoin
from include.features.registry import REGISTRY, Registry
from include.warehouse.connection import connect_warehouse, one_instant

EntityRows: TypeAlias = "pd.DataFrame | pa.Table | str"


class HistoryEngine(Protocol):
    """Where a join finds its rows."""

    @property
    def versions(self) -> VersionSource:
        """The versions of views that it has."""
        ...

    def pick(
        self, selections: Sequence[Selection], spine: Spine, *, mode: Mode, known_at: datetime | None
    ) -> list[Picks]:
        """The picked rows of views of one entity, per selection."""
        ...


@dataclass(frozen=True)
class PostgresEngine:
    """Joins in the database.

    :param dsn: if given, a second connection is opened for half of the keys. It sees what `conn` sees but for what
        `conn` has not committed.
    """

    conn: Connection
    dsn: str | None = None

    @property
    def versions(self) -> VersionSource:
        return VersionsInDatabase(self.conn)

    def pick(
        self, selections: Sequence[Selection], spine: Spine, *, mode: Mode, known_at: datetime | None
    ) -> list[Picks]:
        with ExitStack() as stack:
            connections = [self.conn]
            if self.dsn is not None:
                connections.append(stack.enter_context(connect_warehouse(self.dsn)))
                row = self.conn.execute("SELECT pg_export_snapshot()").fetchone()
                assert row is not None
                connections[1].execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                connections[1].execute(f"SET TRANSACTION SNAPSHOT '{row[0]}'")
            return pick_in_postgres(connections, selections, spine, mode=mode, known_at=known_at)


@dataclass(frozen=True)
class HistoricalFeatures:
    """Features joined to entity rows, once they are asked for: each of its methods joins anew.

    The result has one row per entity row, in its order, with its columns, then per view its features and
    `<view>_status`: `present`; `not found` (nothing known by then, a null key, or a tombstone); `outside ttl`. Then
    come the on-demand features. Whole numbers are `Int64` in pandas; money is a 64-bit float.
    """

    conn: Connection | None
    entity_df: EntityRows
    shown: tuple[Selection, ...]
    read: tuple[Selection, ...]
    on_demand: tuple[OnDemandFeature, ...]
    engine: HistoryEngine
    mode: Mode
    known_at: datetime | None
    timestamp_column: str
    label_start_column: str | None
    with_event_times: bool

    def to_df(self) -> pd.DataFrame:
        """As pandas, with the index of the entity rows if they were pandas.

        :raises BadSpine: rows or columns cannot be used; the text names them.
        :raises LabelBeforeSpine: a label window starts before its row's time.
        """
        rows, columns = self._joined()
        added = pa.table(columns).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        if isinstance(rows, pa.Table):
            rows = rows.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        added.index = rows.index
        return pd.concat([rows, added], axis="columns")

    def to_arrow(self) -> pa.Table:
        """As Arrow; raises what `to_df` raises."""
        rows, columns = self._joined()
        table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
        for name, array in columns.items():
            table = table.append_column(name, array)
        return table

    def to_table(self, name: str) -> int:
        """Leave the result in the database, joined there, and give the number of its rows.

        The table has the columns of `to_arrow` behind `row_number`, the position of the entity row from 0. Memory
        does not grow with the rows. It is there once the transaction is committed.

        :param name: `ml.<name>` or `features.<name>`, in small letters; without a schema in `ml`.
        :raises TableTaken: there is something of that name; it is left as it is.
        :raises NotInDatabase: on-demand features or a mirror are wanted, which the database does not have.
        :raises BadSpine: as `to_df`.
        """
        join = TableJoin(
            self._connection(), self.shown, self.mode, self.known_at, self.timestamp_column, self.label_start_column,
            self.with_event_times,
        )  # fmt: skip
        if self.on_demand or not isinstance(self.engine, PostgresEngine):
            raise NotInDatabase(
                "A table is joined in the database from the history there: leave out on-demand features "
                f"({', '.join(each.name for each in self.on_demand) or 'none'}) and the mirror, or take to_arrow()."
            )
        return join.to_table(self.entity_df, name)

    def _connection(self) -> Connection:
        if self.conn is None:
            raise NotInDatabase("Entity rows or a result in the database need a connection, and none was given.")
        return self.conn

    def _joined(self) -> tuple[pd.DataFrame | pa.Table, dict[str, pa.Array]]:
        """The entity rows, and the columns that are joined to them."""
        if self.conn is None:
            return self._joined_to(self._rows())
        with one_instant(self.conn):
            return self._joined_to(self._rows())

    def _rows(self) -> pd.DataFrame | pa.Table:
        return read_relation(self._connection(), self.entity_df) if isinstance(self.entity_df, str) else self.entity_df

    def _joined_to(self, rows: pd.DataFrame | pa.Table) -> tuple[pd.DataFrame | pa.Table, dict[str, pa.Array]]:
        names = list(rows.column_names if isinstance(rows, pa.Table) else rows.columns)
        refuse_taken_names([*names, *self.added_names])
        instants = read_instants(rows, time_column=self.timestamp_column, label_start_column=self.label_start_column)
        picks: dict[str, Picks] = {}
        for keys, selections in by_keys(self.read).items():
            spine = Spine(read_keys(rows, keys), instants)
            found = self.engine.pick(selections, spine, mode=self.mode, known_at=self.known_at)
            picks |= {selection.view.name: own for selection, own in zip(selections, found, strict=True)}
        read = {name: own.columns() for name, own in picks.items()}
        columns: dict[str, pa.Array] = {}
        for selection in self.shown:
            columns |= {name: read[selection.view.name][name] for name in selection.columns}
            if self.with_event_times:
                columns[f"{selection.view.name}__event_time"] = picks[selection.view.name].event_times
        return rows, columns | self._computed(instants, picks, read)

    def _computed(
        self, instants: npt.NDArray[np.int64], picks: dict[str, Picks], read: dict[str, dict[str, pa.Array]]
    ) -> dict[str, pa.Array]:
        if not self.on_demand:
            return {}
        inputs = {"at": pa.array(instants).view(INSTANT)}
        for name, columns in read.items():
            inputs |= columns | {f"{name}__event_time": picks[name].event_times}
        return compute_on_demand(self.on_demand, pa.table(inputs))

    @property
    def added_names(self) -> list[str]:
        """The names of the columns that are joined to those of the entity rows."""
        names = [name for selection in self.shown for name in selection.columns]
        if self.with_event_times:
            names += [f"{selection.view.name}__event_time" for selection in self.shown]
        return names + [feature.name for feature in self.on_demand]


class NotInDatabase(ValueError):
    """What is wanted cannot be had in the database, or not without one."""


def get_historical_features(
    conn: Connection | None,
    entity_df: EntityRows,
    features: Wanted,
    *,
    mode: Mode = "as_known",
    known_at: datetime | None = None,
    timestamp_column: str = "event_timestamp",
    label_start_column: str | None = None,
    with_event_times: bool = False,
    registry: Registry = REGISTRY,
    dsn: str | None = None,
    mirror: HistoryEngine | None = None,
) -> HistoricalFeatures:
    """Join features to rows of `(entity keys, time)`, as each was known at its row's time.

    For each row that version of history is taken which has the greatest `(event_time, available_time, seq)` of those
    with `event_time <= T` and `available_time <= T`; the TTL, bound inclusive, counts after that. A null feature in it
    stays null, and a tombstone hides what is older.

    :param conn: the warehouse; None if the entity rows are here and the features in a mirror.
    :param entity_df: pandas or Arrow; or the name of a relation, or a SELECT, in the database. Keys are whole numbers
        or text, times have a time zone and count to the microsecond.
    :param features: a feature service or its name; or a list of views, versions of them, `view`, `view:feature`,
        `view@2:feature` (of a version that was stored), and names of on-demand features.
    :param mode: `as_corrected` also takes versions that became available after T, still of snapshots up to T.
    :param known_at: take only versions written up to this instant, so that a training set can be built again.
    :param label_start_column: a column with the start of each row's label window, checked against its time.
    :param with_event_times: also give `<view>__event_time`, the snapshot that a row's features are from.
    :param dsn: how to open a second connection, which then takes half of the keys.
    :param mirror: take the history from files, see `include.features.history.mirror`.
    :raises UnknownFeature: a view, feature or service of that name is not registered.
    :raises UnknownVersion: a view was never built as it is defined now, or never in the version asked for.
    """
    if mode not in ("as_known", "as_corrected"):
        raise ValueError(f"mode is {mode!r}; it is 'as_known' or 'as_corrected'.")
    if known_at is not None:
        refuse_naive(known_at=known_at)
    engine: HistoryEngine
    if mirror is not None:
        engine = mirror
    elif conn is not None:
        engine = PostgresEngine(conn, dsn)
    else:
        raise NotInDatabase("There is neither a connection nor a mirror to take features from.")
    on_demand, of_views = _split(wanted_items(features, registry=registry))
    with nullcontext() if conn is None else conn.transaction():
        shown = selections_of(engine.versions, of_views, registry=registry)
        read = selections_of(engine.versions, of_views, registry=registry, inputs=inputs_of(on_demand))
    return HistoricalFeatures(
        conn, entity_df, tuple(shown), tuple(read), on_demand, engine, mode, known_at, timestamp_column,
        label_start_column, with_event_times,
    )  # fmt: skip


def by_keys(selections: Sequence[Selection]) -> dict[tuple[JoinKey, ...], list[Selection]]:
    """Selections that are joined by the same keys, together."""
    grouped: dict[tuple[JoinKey, ...], list[Selection]] = {}
    for selection in selections:
        grouped.setdefault(selection.view.entity.join_keys, []).append(selection)
    return grouped


def _split(items: Sequence) -> tuple[tuple[OnDemandFeature, ...], list]:
    """On-demand features, and what is of views."""
    is_on_demand = [isinstance(item, str) and item in ON_DEMAND_FEATURES for item in items]
    on_demand = tuple(ON_DEMAND_FEATURES[item] for item, is_so in zip(items, is_on_demand, strict=True) if is_so)
    return on_demand, [item for item, is_so in zip(items, is_on_demand, strict=True) if not is_so]
