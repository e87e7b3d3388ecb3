"""What it takes to describe one kind of record; everything that moves records is driven by it."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from typing import Any, Literal

import msgspec
import pyarrow as pa

MONEY = pa.decimal128(18, 4)
INSTANT = pa.timestamp("us", tz="UTC")
DIGEST = pa.binary(16)
PROVENANCE = ("source_updated_at", "content_digest")
"""The columns that every incoming row carries beside its record: version and digest."""

_ARROW_TYPES: Mapping[Any, pa.DataType] = {
    int: pa.int64(),
    str: pa.string(),
    bool: pa.bool_(),
    float: pa.float64(),
    Decimal: MONEY,
    datetime: INSTANT,
    date: pa.date32(),
}


class Resolution(Enum):
    """How a column of a newer version and the stored one become one value."""

    NEWEST = "newest"
    NEWEST_NON_NULL = "newest non-null"
    KEEP_FIRST = "keep first"
    MERGE_JSON = "merge JSON"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition that each row must meet to be let in.

    :param rule_id: stable name, kept with every rejected row.
    :param holds: from a table of rows to one boolean per row; null counts as met.
    :param reason: what is wrong with a row that fails, in words.
    """

    rule_id: str
    holds: Callable[[pa.Table], pa.ChunkedArray]
    reason: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """A Great Expectations expectation over a whole batch, as plain data.

    :param kind: class name in `great_expectations.expectations`.
    :param severity: `critical` fails the task, `warning` is recorded.
    """

    kind: str
    arguments: Mapping[str, Any]
    severity: Literal["critical", "warning"] = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionLimit:
    """From when on so many of a window's rows are rejected that none of the window is loaded.

    :param share: of the rows received, 0 to 1.
    :param at_least_rows: fewer rejected rows than this are never too many.
    """

    share: float = 0.25
    at_least_rows: int = 3

    def is_exceeded(self, *, received: int, rejected: int) -> bool:
        """Whether that many are too many."""
        return rejected >= self.at_least_rows and rejected >= self.share * received


@dataclass(frozen=True)
class Entity:
    """One kind of record: its type, where it is kept, and how it is judged and merged.

    :param name: plural noun; names the table, the tasks and the landing folder.
    :param record: frozen dataclass of one record; its fields are the columns, except for the
        version `source_updated_at` and, where there are children, the field named `child_field`.
    :param schema: Postgres schema of the table.
    :param key: columns that identify a record.
    :param event_time: the column saying when it happened first; what features repair from.
    :param is_observed: the source gives no version, so the time of reading stands for it; a row
        whose content is the same is then unchanged however often it is read.
    :param look_back: how far before a window's start extraction reaches, for late data.
    :param resolutions: columns that do not simply take the newest version's value.
    :param rejection_limit: how many of its rows may be rejected.
    :param child: records kept inside this one (order lines), replaced as a set with it.
    """

    name: str
    record: type
    schema: str
    key: tuple[str, ...]
    event_time: str | None = None
    is_observed: bool = False
    look_back: timedelta = timedelta(0)
    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    rules: Sequence[Rule] = ()
    expectations: Sequence[Expectation] = ()
    rejection_limit: RejectionLimit = RejectionLimit()
    child: Entity | None = None
    child_field: str | None = None

    @property
    def table(self) -> str:
        """Name with schema, as SQL writes it."""
        return f"{self.schema}.{self.name}"

    @cached_property
    def columns(self) -> dict[str, pa.DataType]:
        """Columns of the record and their Arrow types, in order; JSON columns travel as text."""
        hints = typing.get_type_hints(self.record)
        names = [f.name for f in dataclasses.fields(self.record) if f.name not in (self.child_field, PROVENANCE[0])]
        return {name: _arrow_type(hints[name]) for name in names}

    @cached_property
    def json_columns(self) -> frozenset[str]:
        """Columns kept as jsonb."""
        hints = typing.get_type_hints(self.record)
        return frozenset(name for name in self.columns if _is_json(hints[name]))

    @cached_property
    def record_schema(self) -> pa.Schema:
        """The columns of the record and its version."""
        fields = [pa.field(name, kind) for name, kind in self.columns.items()]
        return pa.schema([*fields, pa.field("source_updated_at", INSTANT)])

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """What the rows of a batch look like between validation and upsert."""
        return self.record_schema.append(pa.field("content_digest", DIGEST))

    def resolution(self, column: str) -> Resolution:
        """How conflicts over `column` are resolved."""
        return self.resolutions.get(column, Resolution.NEWEST)

    def to_arrow(
        self, records: Sequence[Any], *, versions: Sequence[datetime], digests: Sequence[bytes] | None = None
    ) -> pa.Table:
        """Records and their versions as a table of `record_schema`; with their digests, of `arrow_schema`.

        :raises pyarrow.ArrowInvalid: a value does not fit its column; parsers refuse those first.
        """
        arrays = []
        for name, kind in self.columns.items():
            values = [getattr(record, name) for record in records]
            if name in self.json_columns:
                values = [msgspec.json.encode(value, order="deterministic").decode() for value in values]
            arrays.append(pa.array(values, kind))
        arrays.append(pa.array(versions, INSTANT))
        rows = pa.Table.from_arrays(arrays, schema=self.record_schema)
        return rows if digests is None else with_digests(rows, digests)


def with_digests(rows: pa.Table, digests: Sequence[bytes] | pa.Array, *, name: str = PROVENANCE[1]) -> pa.Table:
    """The rows with one more column: their digests."""
    column = digests if isinstance(digests, pa.Array) else pa.array(digests, DIGEST)
    return rows.append_column(pa.field(name, DIGEST), column)


def _strip_optional(hint: Any) -> Any:
    arguments = [a for a in typing.get_args(hint) if a is not type(None)]
    return arguments[0] if type(None) in typing.get_args(hint) and len(arguments) == 1 else hint


def _is_json(hint: Any) -> bool:
    return typing.get_origin(_strip_optional(hint)) in (dict, tuple, list)


def _arrow_type(hint: Any) -> pa.DataType:
    bare = _strip_optional(hint)
    if typing.get_origin(bare) is Literal:
        return pa.string()
    return pa.string() if _is_json(bare) else _ARROW_TYPES[bare]
