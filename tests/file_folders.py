"""Records of any entity written as files by other means than those that read them, and the source that reads them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from include.entities.entity import Entity
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.sources.factory import source_for
from include.sources.settings import SourceSettings
from include.sources.source import Page, Parsed, Source

ALWAYS = Window(datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
DAY = datetime(2024, 3, 2, 3, 4, 5, tzinfo=UTC)
_MONEY = pa.decimal128(18, 4)
_TYPES: dict[str, Any] = {
    "int": pa.int64(),
    "str": pa.string(),
    "bool": pa.bool_(),
    "float": pa.float64(),
    "Decimal": _MONEY,
    "datetime": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
}


def source_of(folder: object, entity: str, *, rows: int = 5000, **settings: Any) -> Source:
    """The source that reads an entity from a folder."""
    known = SourceSettings(**{"name": "shop_files", "base_url": str(folder), "kind": "file", **settings})
    source = source_for(entity, settings_of=lambda name: known)
    source._page_rows = rows  # type: ignore[attr-defined]
    return source


def write_csv(folder: Path, entity: Entity, records: Sequence[Any], *, file: str = "a.csv", without: str = "") -> Path:
    """Records as CSV, those of a child beside it."""
    columns = [name for name in _columns(entity) if name != without]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for record in records:
        writer.writerow([_text(getattr(record, name)) for name in columns])
    path = folder / entity.name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue().encode())
    if entity.child is not None:
        write_csv(folder, entity.child, _lines(records), file=file)
    return path


def write_parquet(
    folder: Path, entity: Entity, records: Sequence[Any], *, file: str = "a.parquet", row_group_size: int = 1000
) -> Path:
    """Records as Parquet, those of a child beside it; what is JSON in the warehouse is JSON text, lists are lists."""
    columns = {}
    for name, hint in _columns(entity).items():
        values = [getattr(record, name) for record in records]
        kind = _TYPES.get(hint.removesuffix(" | None"), pa.string())
        if hint.startswith("tuple"):
            kind = pa.list_(pa.string())
        if hint.startswith("dict"):
            values = [json.dumps(value) for value in values]
        columns[name] = pa.array(values, kind)
    path = folder / entity.name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path, row_group_size=row_group_size)
    if entity.child is not None:
        write_parquet(folder, entity.child, _lines(records), file=file, row_group_size=row_group_size)
    return path


WRITERS = {"csv": write_csv, "parquet": write_parquet}


def pages_of(source: Source, window: Window = ALWAYS) -> list[Page]:
    """All pages of a window."""

    async def read() -> list[Page]:
        return [page async for page in source.pages(window)]

    return asyncio.run(read())


def parsed(source: Source, window: Window = ALWAYS) -> Parsed:
    """What all pages of a window hold, after the checks that hold for every page."""
    everything = Parsed()
    for page in pages_of(source, window):
        found = source.parse(page, window)
        raw = source.split(page.body, window)
        own = [each for each in found.rejections if each.entity == source.entity.name]
        assert len(raw) == len(found.records) + len(own) == len(list(raw))
        for each in found.rejections:
            row, _, line = each.position.partition(".")
            place = raw[int(row)]
            assert each.payload == (source.split_lines(place)[int(line)] if line else place)
            json.loads(each.payload)
        everything.records += found.records
        everything.rejections += found.rejections
    return everything


def example(entity: str, number: int = 1, *, updated_at: datetime = DAY, **changes: Any) -> Any:
    """A good record of an entity."""
    return _record(ENTITIES[entity], number, updated_at, changes)


def _record(entity: Entity, number: int, updated_at: datetime, changes: dict[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for name, hint in _columns(entity).items():
        bare = hint.removesuffix(" | None")
        values[name] = {
            "int": number,
            "str": f"{name} {number}",
            "bool": True,
            "float": 1.5,
            "Decimal": Decimal("2.5000"),
            "datetime": updated_at,
            "date": date(2024, 3, 1) + timedelta(days=number % 20),
        }.get(bare, "product")
        if bare.startswith("dict"):
            values[name] = {"colour": ["red"]}
        if bare.startswith("tuple"):
            values[name] = ("Kitchen", "Gifts")
    if "currency" in values:
        values["currency"] = "EUR"
    if entity.child is not None and entity.child_field is not None:
        lines = [_record(entity.child, number, updated_at, {"line_id": line}) for line in (1, 2)]
        values[entity.child_field] = tuple(lines)
    return entity.record(**{**values, **changes})


def _columns(entity: Entity) -> dict[str, str]:
    """The record's fields and their annotations, apart from its lines."""
    return {field.name: str(field.type) for field in fields(entity.record) if field.name != entity.child_field}


def _lines(records: Iterable[Any]) -> list[Any]:
    return [line for record in records for line in record.lines]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict | tuple):
        return json.dumps(value)
    return str(value)
