"""Files through the whole way in, from a folder of this machine and from a bucket: the tables hold what was written."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from upath import UPath

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.errors import ContractBroken, CredentialsRejected, SourceUnreachable
from tests.file_folders import WRITERS, example, pages_of, source_of, write_csv
from tests.integration.ingestion_shop import TABLES, bytes_of, days, ingest, rows_of
from tests.s3_server import KEYS, refusing_server

START = datetime(2024, 3, 1, tzinfo=UTC)
WEEK = Window(START, START + timedelta(days=7))
NOT_OF_THE_RECORD = {"source", "content_digest"}


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(UPath(tmp_path / "landing"))


def good(entity: str, count: int = 5) -> list[Any]:
    """Records that break no rule, on the days of the week."""
    moments = [START + timedelta(days=number % 7, hours=5) for number in range(count)]
    return [example(entity, number, updated_at=at) for number, at in enumerate(moments, start=1)]


def told(records: list[Any], *, child_field: str | None = None) -> list[dict[str, Any]]:
    return [
        {field.name: _stored(getattr(record, field.name)) for field in fields(record) if field.name != child_field}
        for record in records
    ]


def _stored(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def assert_stored(conn: psycopg.Connection, records: list[Any], entity: str) -> None:
    table, *children = TABLES[entity]
    stored = rows_of(conn, table, without=NOT_OF_THE_RECORD)
    assert sorted(stored, key=repr) == sorted(told(records, child_field=ENTITIES[entity].child_field), key=repr)
    for child in children:
        lines = [line for record in records for line in record.lines]
        stored = rows_of(conn, child, without=NOT_OF_THE_RECORD | {"source_updated_at"})
        assert sorted(stored, key=repr) == sorted(told(lines), key=repr)


@pytest.mark.parametrize("format", list(WRITERS))
@pytest.mark.parametrize("entity", list(ENTITIES))
def test_the_tables_hold_what_the_files_say_and_a_second_run_changes_nothing(
    warehouse, tmp_path, landing, entity, format
):
    records = good(entity)
    WRITERS[format](tmp_path, ENTITIES[entity], records)
    source = source_of(tmp_path, entity, rows=2)
    ingest(warehouse, source, WEEK, landing=landing)
    assert_stored(warehouse, records, entity)
    before = bytes_of(warehouse)
    again = ingest(warehouse, source, WEEK, landing=landing, now=datetime(2026, 2, 1, tzinfo=UTC))
    assert again["upsert", entity].unchanged == len(records)
    assert bytes_of(warehouse) == before


def test_a_week_day_by_day_gives_the_tables_of_the_week_in_one(warehouse, tmp_path, landing):
    records = good("orders", 20)
    write_csv(tmp_path, ENTITIES["orders"], records)
    for day in days(START, 7):
        ingest(warehouse, source_of(tmp_path, "orders", rows=3), day, landing=landing)
    assert_stored(warehouse, records, "orders")


def test_broken_rows_go_to_quarantine_alone_and_are_found_again_where_it_says(warehouse, tmp_path, landing):
    records = good("orders", 4)
    path = write_csv(tmp_path, ENTITIES["orders"], records)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], "1,2,3", '9,"open', *lines[3:]]))
    line_path = tmp_path / "order_lines" / "a.csv"
    line_path.write_text(line_path.read_text().replace(",2.5000,2.5000", ",2.5000,much", 1))
    source = source_of(tmp_path, "orders", rows=3)
    run = ingest(warehouse, source, WEEK, landing=landing)
    assert (run["upsert", "orders"].inserted, run["upsert", "orders"].quarantined) == (4, 2)
    assert (run["upsert", "order_lines"].inserted, run["upsert", "order_lines"].quarantined) == (7, 1)
    rows = warehouse.execute(
        "SELECT rule_id, reason, payload, landing_file, landing_position FROM quarantine.rejected_rows"
    ).fetchall()
    assert sorted(rule for rule, *_ in rows) == ["cells", "money", "quotes"]
    pages = {f"{run.batch}/{file}": page for file, page in landing.pages(run.batch)}
    for _, reason, payload, file, position in rows:
        row, _, line = position.partition(".")
        raw = source.split(pages[file].body, WEEK)[int(row)]
        found = source.split_lines(raw)[int(line)] if line else raw
        assert json.loads(found) == json.loads(payload)
        assert "a.csv line" in reason
    reasons = " ".join(reason for _, reason, *_ in rows)
    assert "orders/a.csv line 4" in reasons and "orders/a.csv line 5" in reasons and "order_lines/a.csv" in reasons


def test_what_was_landed_is_the_bytes_of_the_file(tmp_path, landing, warehouse):
    path = write_csv(tmp_path, ENTITIES["customers"], good("customers"))
    run = ingest(warehouse, source_of(tmp_path, "customers"), WEEK, landing=landing)
    ((_, page),) = landing.pages(run.batch)
    assert page.body.partition(b"\n")[2] == path.read_bytes().replace(b"\r\n", b"\n", 1)


@pytest.mark.parametrize("observed", [True, False])
def test_a_file_without_versions_written_anew_changes_the_rows_that_changed_where_it_is_observed(
    warehouse, tmp_path, landing, observed
):
    source = source_of(tmp_path, "customers", extra={"observed": ["customers"] if observed else []})
    for day, country in ((1, "GB"), (2, "FR")):
        records = [*good("customers", 4), example("customers", 5, country=country)]
        path = write_csv(tmp_path, ENTITIES["customers"], records, without="source_updated_at")
        written_at = (START + timedelta(days=day)).timestamp()
        os.utime(path, (written_at, written_at))
        today = Window(START + timedelta(days=day), START + timedelta(days=day + 1))
        run = ingest(warehouse, source, today, landing=landing)
    account = run["upsert", "customers"]
    assert (account.updated, account.unchanged) == ((1, 4) if observed else (5, 0))
    stored = warehouse.execute("SELECT country FROM shop.customers WHERE customer_id = 5").fetchone()
    assert stored == ("FR",)


def in_bucket(folder: Path, bucket: UPath) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            (bucket / path.relative_to(folder).as_posix()).write_bytes(path.read_bytes())


def s3_settings(url: str, address: str) -> dict[str, Any]:
    options = {
        "endpoint_url": url,
        "client_kwargs": {"region_name": KEYS["AWS_DEFAULT_REGION"]},
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    return {
        "base_url": address,
        "kind": "aws",
        "login": KEYS["AWS_ACCESS_KEY_ID"],
        "password": KEYS["AWS_SECRET_ACCESS_KEY"],
        "extra": {"storage_options": options},
    }


@pytest.mark.parametrize("format", list(WRITERS))
def test_a_bucket_gives_the_tables_of_a_folder(warehouse, tmp_path, landing, s3_server, format):
    records = good("orders")
    WRITERS[format](tmp_path / "export", ENTITIES["orders"], records)
    bucket = s3_server.bucket()
    in_bucket(tmp_path / "export", bucket / "daily")
    settings = s3_settings(s3_server.url, str(bucket / "daily"))
    source = source_of("", "orders", rows=2, **settings)
    assert any("orders/a." in page.request for page in pages_of(source))
    ingest(warehouse, source, WEEK, landing=landing)
    assert_stored(warehouse, records, "orders")


def test_a_bucket_that_cannot_be_read_says_what_to_do(s3_server):
    with pytest.raises(ContractBroken, match="no folder 'orders'"):
        pages_of(source_of("", "orders", **s3_settings(s3_server.url, "s3://nowhere/export")))
    with (
        refusing_server(status=403, code="AccessDenied") as url,
        pytest.raises(CredentialsRejected, match="may not be read"),
    ):
        pages_of(source_of("", "orders", **s3_settings(url, "s3://closed/export")))
    with pytest.raises(SourceUnreachable, match="cannot be"):
        pages_of(source_of("", "orders", **s3_settings("http://127.0.0.1:9", "s3://silent/export")))
