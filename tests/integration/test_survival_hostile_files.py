"""Hostile values from files to the tables: each is stored exactly as it stands there, or in quarantine with its reason.

What must be stored is told a second time here, from the cells that were written and the types of the record alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.entities.entity import Entity
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.landing import Landing
from tests.file_folders import source_of
from tests.hostile_files import Sent, good_row, hints_of, send_texts, send_typed, write_texts
from tests.integration.canned_api import judged_row_by_row
from tests.integration.ingestion_shop import Run, ingest
from tests.integration.logged_warehouse import logged_warehouse, without_a_payload_in_the_log
from tests.integration.test_survival_hostile import TEN_MEGABYTES, rejected, same, stored
from tests.soak.landed import bodies
from tests.wire_rows import KEYS, PERSONAL, instant, read_json

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def conn(postgres_server) -> Iterator[psycopg.Connection]:
    with logged_warehouse(postgres_server, "hostile_files") as connection:
        yield connection


@pytest.fixture
def log(postgres_server, conn) -> Iterator[None]:
    """At the end nothing of a payload stands in a statement that the server logged."""
    with without_a_payload_in_the_log(postgres_server, conn):
        yield


def load(conn: psycopg.Connection, folder: Path, entity: Entity) -> tuple[Run, Landing]:
    """Everything in the folder, however little of it is good."""
    times = [name for name, hint in hints_of(entity).items() if hint.startswith("datetime")]
    source = source_of(folder, entity.name, rows=10_000, extra={"utc_columns": times})
    source.entity = judged_row_by_row(source.entity)
    landing = Landing(folder / "landing")
    return ingest(conn, source, Window(FIRST + entity.look_back, LAST), landing=landing), landing


def assert_each_is_stored_or_rejected(
    conn: psycopg.Connection, landing: Landing, run: Run, entity: Entity, owner: Entity, sent: Sequence[Sent]
) -> None:
    """Every row that was sent is in its table, exactly as sent, or in quarantine with its reason, and no other is.

    :param owner: the entity on whose pages the rows come.
    """
    reasons = rejected(conn)
    assert all(reason.partition(": ")[2] for reason in reasons.values())
    refused = places_of(landing, run, owner.name, list(reasons))
    found = stored(conn, owner.name)[entity.table]
    for each in sent:
        if not each.places & refused:
            told = record_of(entity, each.cells)
            assert same(found.get(tuple(told[name] for name in KEYS[entity.table])), told), f"sent as {each}"
    assert refused <= {place for each in sent for place in each.places}, "quarantine holds rows that were never sent"
    assert len(refused) > 50 and len(found) > 20


def places_of(
    landing: Landing, run: Run, owner: str, rejections: list[tuple[str, str, str]]
) -> set[tuple[str, str, int]]:
    """Where rejected rows stood, and the parents of rejected lines; told by the first line of the landed page."""
    rows_on: dict[str, list[tuple[str, int]]] = {}
    for page, body, _ in bodies(landing, run.batch):
        parts = json.loads(body.partition(b"\n")[0])["parts"]
        own = [part for part in parts if part["entity"] == owner] or parts  # lines of nobody come alone
        rows_on[page] = [
            (part["file"], number)
            for part in own
            for first, count in part["runs"]
            for number in range(first, first + count)
        ]
    return {(name, *rows_on[page][int(position.partition(".")[0])]) for name, page, position in rejections}


def record_of(entity: Entity, cells: dict[str, Any]) -> dict[str, Any]:
    """What the table must hold of a row whose cells are these."""
    hints = hints_of(entity)
    dropped = {"source_updated_at"} if entity.is_observed else set()
    return {name: meant(hint, cells[name]) for name, hint in hints.items() if name not in dropped}


def meant(hint: str, value: Any) -> Any:
    """The value of a cell in a column of this type.

    :raises Exception: it has none; which one does not matter.
    """
    kind, _, _ = hint.partition(" | ")
    if value is None or (value == "" and (kind != "str" or "None" in hint)):
        assert "None" in hint, "the empty cell stands for null, which this field may not be"
        return None
    if kind.startswith(("dict", "tuple")):
        return free_json(value, is_object=kind.startswith("dict"))
    if kind in ("str", "LineKind"):
        assert isinstance(value, str)
        return value
    if kind == "bool":
        return value if isinstance(value, bool) else {"true": True, "1": True, "0": False, "false": False}[value]
    if kind == "datetime":
        return instant(value if isinstance(value, str) else value.isoformat())
    if kind == "date":
        return date.fromisoformat(value) if isinstance(value, str) else value
    assert not isinstance(value, bool)
    return {"int": int, "Decimal": lambda each: Decimal(str(each)), "float": float}[kind](value)


def free_json(value: Any, *, is_object: bool) -> Any:
    """JSON, or a list, struct or map of Parquet; of an object without what is personal."""
    told = read_json(value if isinstance(value, str) else json.dumps(value, allow_nan=False, default=number))
    assert isinstance(told, dict) if is_object else all(isinstance(part, str) for part in told)
    return {name: part for name, part in told.items() if name not in PERSONAL} if is_object else told


def number(value: Any) -> Any:
    assert isinstance(value, Decimal), f"JSON has nothing for {value!r}"
    assert Decimal(repr(float(value))) == value, "what is stored is not this number"
    return float(value)


EVERY = [(each, entity) for entity in ENTITIES.values() for each in (entity, entity.child) if each is not None]
OF_EVERY_ENTITY = pytest.mark.parametrize(("entity", "owner"), EVERY, ids=[each.name for each, _ in EVERY])


@OF_EVERY_ENTITY
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_every_hostile_text_in_every_column_is_stored_exactly_or_rejected_with_its_reason(
    conn, log, tmp_path, entity, owner, format
):
    sent = send_texts(tmp_path, entity, owner, format)
    run, landing = load(conn, tmp_path, owner)
    assert_each_is_stored_or_rejected(conn, landing, run, entity, owner, sent)


@OF_EVERY_ENTITY
def test_every_value_of_every_type_that_parquet_has_is_stored_exactly_or_rejected_with_its_reason(
    conn, log, tmp_path, entity, owner
):
    sent = send_typed(tmp_path, entity, owner)
    run, landing = load(conn, tmp_path, owner)
    assert_each_is_stored_or_rejected(conn, landing, run, entity, owner, sent)


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_ten_megabytes_of_text_are_stored_exactly(conn, log, tmp_path, format):
    entity = ENTITIES["customers"]
    rows = [{**good_row(entity, entity, 1), "first_name": "x" * TEN_MEGABYTES}]
    write_texts(tmp_path / "customers" / f"a.{format}", entity, rows)
    run, _ = load(conn, tmp_path, entity)
    assert run["upsert", "customers"].inserted == 1
    (found,) = stored(conn, "customers")["shop.customers"].values()
    assert same(found, record_of(entity, rows[0]))
