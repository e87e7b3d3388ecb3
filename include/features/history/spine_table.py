"""A spine as the temporary table `spine` of a transaction, checked there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
from psycopg import Connection, sql

from include.features.definitions.entity import JoinKey, KeyType
from include.features.history.relation import relation_sql
from include.features.history.spine import BadSpine, LabelBeforeSpine, label_before, named_rows, refuse_taken_names
from include.warehouse.copy import copy_rows

POSITION = "row_number"
"""The column that says where a row stood among the entity rows, from 0."""
_KEY_TYPES: dict[KeyType, tuple[int, ...]] = {"integer": (20, 21, 23), "text": (25, 1043)}
_TIMESTAMPTZ = 1184
_ROWS_NAMED = 5


@dataclass(frozen=True, slots=True)
class SpineTable:
    """The spine of the transaction that `conn` is in."""

    conn: Connection

    def take(self, entity_df: pd.DataFrame | pa.Table | str) -> None:
        """Put entity rows there, numbered by position: from here, or from a relation or a SELECT in the database."""
        self.conn.execute("DROP TABLE IF EXISTS pg_temp.spine")
        if isinstance(entity_df, str):
            self._take_relation(entity_df)
        else:
            self._take_frame(entity_df)
        self.conn.execute("ANALYZE spine")

    def checked(
        self, *, added: Sequence[str], keys: Sequence[JoinKey], time_column: str, label_start_column: str | None
    ) -> list[str]:
        """The names of its columns, if it can be joined.

        :param added: the names of the columns that will stand beside them.
        :raises BadSpine: a column is missing, taken or of another type, or an instant is null or infinite.
        :raises LabelBeforeSpine: a label window starts before its row's time.
        """
        shape = self.conn.execute("SELECT * FROM spine LIMIT 0").description or []
        types = {each.name: each.type_code for each in shape}
        refuse_taken_names([*types, *added])
        for key in keys:
            _refuse_type(types, key.name, _KEY_TYPES[key.type], what=f"is no {key.type}")
        for column in filter(None, (time_column, label_start_column)):
            _refuse_type(types, column, (_TIMESTAMPTZ,), what="is no instant with a time zone")
            self._refuse_where(sql.SQL("{0} IS NULL OR NOT isfinite({0})").format(sql.Identifier(column)), column)
        if label_start_column is not None:
            positions, count = self._rows_where(
                sql.SQL("{} < {}").format(sql.Identifier(label_start_column), sql.Identifier(time_column))
            )
            if count:
                rows = named_rows(positions, count=count)
                raise LabelBeforeSpine(label_before(rows, label_start_column, time_column))
        return list(types)

    def _take_relation(self, relation: str) -> None:
        self.conn.execute(
            sql.SQL(
                """
                CREATE TEMPORARY TABLE spine ON COMMIT DROP AS
                SELECT row_number() OVER () - 1 AS {position}, entity_rows.* FROM {relation} AS entity_rows
                """
            ).format(position=sql.Identifier(POSITION), relation=relation_sql(relation))
        )

    def _take_frame(self, frame: pd.DataFrame | pa.Table) -> None:
        rows = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        refuse_taken_names([*rows.column_names, POSITION])
        rows = _with_storable_types(rows).add_column(0, POSITION, pa.array(range(len(rows)), pa.int64()))
        columns = [
            sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_postgres_type(field.type)))
            for field in rows.schema
        ]
        self.conn.execute(
            sql.SQL("CREATE TEMPORARY TABLE spine ({}) ON COMMIT DROP").format(sql.SQL(", ").join(columns))
        )
        with self.conn.cursor() as cursor:
            copy_rows(
                cursor,
                table=sql.Identifier("pg_temp", "spine"),
                columns=rows.column_names,
                schema=rows.schema,
                batches=rows.to_batches(),
            )

    def _refuse_where(self, condition: sql.Composable, column: str) -> None:
        positions, count = self._rows_where(condition)
        if count:
            raise BadSpine(f"{named_rows(positions, count=count)}: {column} is null or infinite. Drop these rows.")

    def _rows_where(self, condition: sql.Composable) -> tuple[list[int], int]:
        """The positions of the first rows of which something holds, and how many there are."""
        query = sql.SQL(
            "SELECT {position}, count(*) OVER () FROM spine WHERE {condition} ORDER BY {position} LIMIT {limit}"
        ).format(position=sql.Identifier(POSITION), condition=condition, limit=sql.Literal(_ROWS_NAMED))
        rows = self.conn.execute(query).fetchall()
        return [row[0] for row in rows], rows[0][1] if rows else 0


def _refuse_type(types: dict[str, int], name: str, allowed: tuple[int, ...], *, what: str) -> None:
    if name not in types:
        known = [each for each in types if each != POSITION]
        raise BadSpine(f"The spine has 0 columns named {name!r} and needs one. It has: {known}.")
    if types[name] not in allowed:
        raise BadSpine(f"All rows of the spine: {name} {what}. Cast it.")


def _with_storable_types(rows: pa.Table) -> pa.Table:
    """Columns in types that Postgres has: no dictionaries, no unsigned and no very small numbers, microseconds."""
    for number, field in enumerate(rows.schema):
        wanted = _storable(field.type)
        if wanted != field.type:
            rows = rows.set_column(number, field.name, rows[field.name].cast(wanted, safe=False))
    return rows


def _storable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _storable(kind.value_type)
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", tz=kind.tz and "UTC")
    if pa.types.is_null(kind) or pa.types.is_large_string(kind):
        return pa.string()
    return pa.float64() if pa.types.is_floating(kind) else kind


def _postgres_type(kind: pa.DataType) -> str:
    known = {
        pa.int64(): "bigint",
        pa.float64(): "double precision",
        pa.string(): "text",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.timestamp("us"): "timestamp",
        pa.timestamp("us", tz="UTC"): "timestamptz",
    }
    if kind not in known:
        raise BadSpine(f"A column of the spine is {kind}, which is not stored. Cast or drop it.")
    return known[kind]
