"""The point-in-time join that stays in the database: from rows there, or copied there, to a table.

Nothing is held in memory that grows with the rows: the spine is a temporary table, sorted by key for the search, and
Postgres sorts and joins on disk what does not fit into `work_mem`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import pyarrow as pa
from psycopg import Connection, sql

from include.features.definitions.entity import KEY_TYPES, JoinKey, KeyType
from include.features.definitions.selection import NOT_FOUND, OUTSIDE_TTL, PRESENT, Selection, feature_expression
from include.features.history.postgres_join import Mode, newest_eligible
from include.features.history.spine_table import POSITION, SpineTable

_SCHEMAS = ("ml", "features")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_BARE: dict[KeyType, str] = KEY_TYPES | {"text": 'text COLLATE "C"'}
"""Keys as the history orders them."""


class TableTaken(ValueError):
    """A result would overwrite something in the database, or go where results do not belong."""


@dataclass(frozen=True, slots=True)
class TableJoin:
    """How a join is done; see `get_historical_features`."""

    conn: Connection
    selections: Sequence[Selection]
    mode: Mode
    known_at: datetime | None
    timestamp_column: str
    label_start_column: str | None
    with_event_times: bool

    def to_table(self, entity_df: pd.DataFrame | pa.Table | str, name: str) -> int:
        """Write the table and give the number of its rows."""
        table = _table_of(name)
        with self.conn.transaction():
            taken = self.conn.execute("SELECT to_regclass(%s)", (table.as_string(self.conn),)).fetchone()
            if taken is None or taken[0] is not None:
                raise TableTaken(f"{name} is there already and was left as it is. Drop it, or give another name.")
            spine = SpineTable(self.conn)
            spine.take(entity_df)
            added = [column for selection in self.selections for column in self._columns_of(selection)]
            names = spine.checked(
                added=added,
                keys=[key for keys in self._keys() for key in keys],
                time_column=self.timestamp_column,
                label_start_column=self.label_start_column,
            )
            return self._write(table, names, self._pick_all())

    def _write(
        self, table: sql.Identifier, names: Sequence[str], picked: Sequence[tuple[sql.Identifier, list[Selection]]]
    ) -> int:
        """Rows and what was picked for them, side by side, in the order of the rows."""
        owner = {selection.view.name: part for part, own in picked for selection in own}
        columns: list[sql.Composable] = [sql.Identifier("spine", name) for name in names]
        for selection in self.selections:
            part = owner[selection.view.name]
            for name in self._columns_of(selection):
                column = sql.SQL("{}.{}").format(part, sql.Identifier(name))
                if name == selection.status_column:
                    column = sql.SQL("coalesce({}, {}) AS {}").format(
                        column, sql.Literal(NOT_FOUND), sql.Identifier(name)
                    )
                columns.append(column)
        joins = [
            sql.SQL("LEFT JOIN {part} ON spine.{position} = {part}.position").format(
                part=part, position=sql.Identifier(POSITION)
            )
            for part, _ in picked
        ]
        return self.conn.execute(
            sql.SQL("CREATE TABLE {table} AS SELECT {columns} FROM spine {joins} ORDER BY spine.{position}").format(
                table=table,
                columns=sql.SQL(", ").join(columns),
                joins=sql.SQL(" ").join(joins),
                position=sql.Identifier(POSITION),
            )
        ).rowcount

    def _keys(self) -> list[tuple[JoinKey, ...]]:
        return list(dict.fromkeys(selection.view.entity.join_keys for selection in self.selections))

    def _columns_of(self, selection: Selection) -> list[str]:
        more = [f"{selection.view.name}__event_time"] if self.with_event_times else []
        return [*selection.columns, *more]

    def _pick_all(self) -> list[tuple[sql.Identifier, list[Selection]]]:
        """Per set of keys a temporary table of what was picked, by position."""
        made = []
        for number, keys in enumerate(self._keys()):
            own = [selection for selection in self.selections if selection.view.entity.join_keys == keys]
            table = sql.Identifier(f"picked_{number}")
            self._pick(table, keys, own)
            made.append((table, own))
        return made

    def _pick(self, table: sql.Identifier, keys: tuple[JoinKey, ...], selections: list[Selection]) -> None:
        names = [f"key_{number}" for number in range(len(keys))]
        bare = [sql.SQL("{}::{}").format(sql.Identifier(key.name), sql.SQL(_BARE[key.type])) for key in keys]
        searches = [
            sql.SQL("LEFT JOIN LATERAL ({}) AS {} ON true").format(
                newest_eligible(each, spine="wanted", keys=names, at="at", mode=self.mode, known_at=self.known_at),
                sql.Identifier(each.view.name),
            )
            for each in selections
        ]
        self.conn.execute(sql.SQL("DROP TABLE IF EXISTS pg_temp.{}").format(table))
        self.conn.execute(
            sql.SQL(
                """
                CREATE TEMPORARY TABLE {table} ON COMMIT DROP AS
                WITH wanted AS MATERIALIZED (
                    SELECT {position} AS position, {keys}, {at} AS at
                    FROM spine
                    WHERE ({bare}) IS NOT NULL
                    ORDER BY {bare}, {at}
                )

                SELECT wanted.position, {answers}
                FROM wanted
                {searches}
                """
            ).format(
                table=table,
                position=sql.Identifier(POSITION),
                keys=sql.SQL(", ").join(
                    sql.SQL("{} AS {}").format(key, sql.Identifier(name)) for key, name in zip(bare, names, strict=True)
                ),
                bare=sql.SQL(", ").join(bare),
                at=sql.Identifier(self.timestamp_column),
                answers=sql.SQL(", ").join(self._answer(each) for each in selections),
                searches=sql.SQL("\n").join(searches),
            )
        )
        self.conn.execute(sql.SQL("ANALYZE {} (position)").format(table))

    def _answer(self, selection: Selection) -> sql.Composed:
        """The columns of one view, features null unless present."""
        name = selection.view.name
        status = _status(selection)
        return sql.SQL(", ").join(
            [
                sql.SQL("CASE WHEN {} = {} THEN {} END AS {}").format(
                    status,
                    sql.Literal(PRESENT),
                    feature_expression(feature, table=name),
                    sql.Identifier(feature.name),
                )
                for feature in selection.features
            ]
            + [sql.SQL("{} AS {}").format(status, sql.Identifier(selection.status_column))]
            + [
                sql.SQL("CASE WHEN NOT {0}.is_tombstone THEN {0}.event_time END AS {1}").format(
                    sql.Identifier(name), sql.Identifier(more)
                )
                for more in self._columns_of(selection)[len(selection.columns) :]
            ]
        )


def _status(selection: Selection) -> sql.Composed:
    """The status of the row that was picked at the instant `wanted.at`."""
    table = sql.Identifier(selection.view.name)
    is_old = sql.SQL("wanted.at - {}.event_time > {}::interval").format(table, sql.Literal(selection.view.ttl))
    return sql.SQL(
        "CASE WHEN {table}.event_time IS NULL OR {table}.is_tombstone THEN {not_found} "
        "WHEN {is_old} THEN {outside_ttl} ELSE {present} END"
    ).format(
        table=table,
        is_old=is_old,
        not_found=sql.Literal(NOT_FOUND),
        outside_ttl=sql.Literal(OUTSIDE_TTL),
        present=sql.Literal(PRESENT),
    )


def _table_of(name: str) -> sql.Identifier:
    schema, _, table = name.rpartition(".")
    schema = schema or _SCHEMAS[0]
    if schema not in _SCHEMAS or not _NAME.fullmatch(table):
        raise TableTaken(
            f"{name!r} is no place for a result. Write {' or '.join(f'{each}.<name>' for each in _SCHEMAS)}, in small "
            "letters, digits and underscores."
        )
    return sql.Identifier(schema, table)
