"""Files with a hostile value in every column: as text in CSV and Parquet, and in the types that only Parquet has."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from include.entities.entity import Entity
from tests.file_folders import example, write_parquet
from tests.hostile_values import VALUES

NOT_FINITE = ("nan", "NaN", "+nan", "inf", "-inf", "Infinity", "-Infinity", "1e400", "-1e400")
NAN, INFINITY = float("nan"), float("inf")


TEXTS = list(dict.fromkeys([*(json.loads(v) if v.startswith('"') else v for v in VALUES), *NOT_FINITE, ""]))
"""Every hostile value as the text of a cell."""
TYPED: dict[str, pa.Array] = {
    "float64": pa.array([NAN, INFINITY, -INFINITY, -0.0, 1e308, 5e-324, 2.5, 1.00001, None]),
    "float32": pa.array([NAN, INFINITY, -INFINITY, 0.1, 2.5], pa.float32()),
    "int64": pa.array([-(2**63), 2**63 - 1, -1, 0, 2**53 + 1]),
    "uint64": pa.array([2**64 - 1, 2**63], pa.uint64()),
    "bool": pa.array([True, False]),
    "decimal": pa.array([Decimal("9" * 28 + ".9999999999"), Decimal("1.5"), Decimal("0.00001")], pa.decimal128(38, 10)),
    "wide decimal": pa.array([Decimal("9" * 70), Decimal(7)], pa.decimal256(76, 0)),
    "binary": pa.array([b"\xff\xfe", b"text", b"\x00"]),
    "broken UTF-8": pa.array([b"\xff\xfe", b"a\x00b", b"\xed\xa0\x80"]).view(pa.string()),
    "milliseconds": pa.array([0, 2**62, -(2**62), 253_402_300_799_999], pa.timestamp("ms", tz="UTC")),
    "microseconds": pa.array([1, 2**62, -(2**62)], pa.timestamp("us", tz="-14:00")),
    "nanoseconds": pa.array([1_000, 2**63 - 808, -(2**62)], pa.timestamp("ns", tz="UTC")),
    "no zone": pa.array([1, 2**62], pa.timestamp("us")),
    "days": pa.array([0, 2**31 - 1, -(2**31), 2_932_896], pa.date32()),
    "list": pa.array([[NAN], [INFINITY, None], [1.5], []]),
    "texts": pa.array([["a\x00b"], ["a", None], ["x'); --"], []]),
    "struct": pa.array([{"a": {"b": NAN}}, {"a": {"b": -INFINITY}}, {"a": {"b": 0.1}}, {"a": None}]),
    "exact struct": pa.array([{"a": Decimal("1.5")}, {"a": Decimal("0.12345678901234567890123")}]),
    "binary struct": pa.array([{"a": b"\xff"}, {"a": None}]),
    "map": pa.array([[("a", NAN)], [("a", 1.5), ("b", None)], []], pa.map_(pa.string(), pa.float64())),
    "null": pa.nulls(2),
}
"""Columns of types that Parquet has and JSON has not, or with values that JSON has not."""


class Unreadable:
    """Stands for a value that has no Python form."""


@dataclass(frozen=True)
class Sent:
    """One row of a file.

    :param places: entity, file and number of row by which it may be named when it is rejected.
    """

    places: frozenset[tuple[str, str, int]]
    cells: dict[str, Any]


def hints_of(entity: Entity) -> dict[str, str]:
    """The columns of a file of an entity and their types, as its record is written."""
    return {name: hint for name, hint in entity.record.__annotations__.items() if name != entity.child_field}


def good_row(entity: Entity, owner: Entity, number: int) -> dict[str, Any]:
    record = example(owner.name, number)
    source = record if entity is owner else getattr(record, owner.child_field or "")[0]
    return {name: getattr(source, name) for name in hints_of(entity)}


def as_text(value: Any) -> str:
    if isinstance(value, dict | tuple):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def write_texts(path: Path, entity: Entity, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """A file of texts; gives the numbers that the rows have there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [{name: as_text(value) for name, value in row.items()} for row in rows]
    if path.suffix == ".parquet":
        schema = pa.schema([(name, pa.string()) for name in hints_of(entity)])
        parquet.write_table(pa.Table.from_pylist(texts, schema), path)
        return list(range(1, len(rows) + 1))
    lines = [csv_line(hints_of(entity)), *(csv_line(row.values()) for row in texts)]
    path.write_bytes(b"".join(lines))
    ends = itertools.accumulate(line.count(b"\n") for line in lines)
    return [end + 1 for end in ends][:-1]


def csv_line(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue().encode()


def send_texts(folder: Path, entity: Entity, owner: Entity, format: str) -> list[Sent]:
    """A row for every column and hostile text; those of a child each in a parent of their own."""
    cells = itertools.product(hints_of(entity), TEXTS)
    rows = [{**good_row(entity, owner, number), name: text} for number, (name, text) in enumerate(cells, start=1_000)]
    file = f"a.{format}"
    numbers = write_texts(folder / entity.name / file, entity, rows)
    if entity is owner:
        if owner.child is not None:
            write_texts(folder / owner.child.name / file, owner.child, [])
        return sent_of(entity, owner, file, rows, numbers, numbers)
    parents = [good_row(owner, owner, number) for number in range(1_000, 1_000 + len(rows))]
    return sent_of(entity, owner, file, rows, numbers, write_texts(folder / owner.name / file, owner, parents))


def send_typed(folder: Path, entity: Entity, owner: Entity) -> list[Sent]:
    """A Parquet file for every column and type, with a row for each of its values."""
    sent: list[Sent] = []
    first = 1_000
    for column, (kind, values) in itertools.product(hints_of(entity), TYPED.items()):
        records = [example(owner.name, first + number) for number in range(len(values))]
        first += len(values)
        if owner.child_field is not None:
            kept = 0 if entity is owner else 1
            records = [replace(each, **{owner.child_field: each.lines[:kept]}) for each in records]
        file = f"{column} {kind}.parquet"
        write_parquet(folder, owner, records, file=file)
        path = folder / entity.name / file
        table = parquet.read_table(path)
        rows = [{**row, column: plain(value)} for row, value in zip(table.to_pylist(), values, strict=True)]
        parquet.write_table(table.set_column(table.column_names.index(column), column, values), path)
        numbers = range(1, len(rows) + 1)
        sent += sent_of(entity, owner, file, rows, numbers, numbers)
    return sent


def plain(value: pa.Scalar) -> Any:
    try:
        return value.as_py(maps_as_pydicts="strict")
    except (ValueError, OverflowError, KeyError):
        return Unreadable()


def sent_of(
    entity: Entity,
    owner: Entity,
    file: str,
    rows: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    parents: Sequence[int],
) -> list[Sent]:
    """Rows of a file with their places; without those of a child that name a parent that there is not."""
    sent = []
    for row, number, parent in zip(rows, numbers, parents, strict=True):
        places = {(owner.name, f"{entity.name}/{file}", number)}
        if entity is not owner:
            places |= {(name, f"{owner.name}/{file}", parent) for name in (entity.name, owner.name)}
        if entity is owner or not is_of_nobody(row[owner.key[0]]):
            sent.append(Sent(frozenset(places), dict(row)))
    return sent


def is_of_nobody(key: Any) -> bool:
    """Whether a child names a parent, but none that was sent: their numbers begin at 1,000 and are not so high."""
    text = str(key) if isinstance(key, int | str) and not isinstance(key, bool) else ""
    return text.isascii() and text.isdigit() and int(text) < 2**63 and not 1_000 <= int(text) < 100_000
