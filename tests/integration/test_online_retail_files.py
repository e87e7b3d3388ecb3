"""An Online Retail file read as files: the tables are those of the same file read through a shop's API."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.errors import ContractBroken
from include.sources.factory import source_for
from include.sources.settings import SourceSettings
from include.sources.source import Source
from tests.file_folders import pages_of
from tests.integration.ingestion_shop import days, ingest, rows_of, source_of
from tests.integration.sandbox_process import sandbox
from tests.integration.test_online_retail import BY_HAND, OUTCOMES, WINDOW, counted, made_up, write

ENTITIES = ("customers", "products", "orders", "refunds")
TABLES = ("shop.customers", "shop.products", "shop.orders", "shop.order_lines", "shop.refunds", "shop.refund_lines")
NOT_OF_THE_RECORD = {"source"}


def files_of(folder: Path, entity: str) -> Source:
    settings = SourceSettings(name="shop_api", base_url=str(folder), kind="file", extra={"layout": "online_retail"})
    return source_for(entity, settings_of=lambda name: settings)


def tables(conn) -> dict[str, list[dict[str, Any]]]:
    return {table: rows_of(conn, table, without=NOT_OF_THE_RECORD) for table in TABLES}


def outcomes(runs: dict[str, Any], *names: str) -> dict[str, dict[str, int]]:
    return {
        each.entity: {name: getattr(each, name) for name in names}
        for run in runs.values()
        for (step, _), each in run.receipts.items()
        if step == "upsert"
    }


def rejected(conn) -> list[tuple[Any, ...]]:
    found = conn.execute("SELECT entity, rule_id, count(*) FROM quarantine.rejected_rows GROUP BY 1, 2 ORDER BY 1, 2")
    return found.fetchall()


@pytest.mark.parametrize("lines", [BY_HAND, made_up(1), made_up(5)], ids=["by hand", "made up 1", "made up 5"])
def test_the_tables_and_accounts_are_those_of_the_same_file_read_through_the_shops_api(warehouse, tmp_path, lines):
    folder = tmp_path / "export"
    folder.mkdir()
    write(lines, folder / "shop.csv")
    landing = Landing(tmp_path / "landing")
    with sandbox(data=folder / "shop.csv") as box:
        by_api = {each: ingest(warehouse, source_of(box, each), WINDOW, landing=landing) for each in ENTITIES}
    expected, expected_rejected = tables(warehouse), rejected(warehouse)
    assert all(expected.values())
    for table in (*TABLES, "quarantine.rejected_rows"):
        warehouse.execute(f"TRUNCATE {table}")
    warehouse.commit()
    by_file = {each: ingest(warehouse, files_of(folder, each), WINDOW, landing=landing) for each in ENTITIES}
    assert tables(warehouse) == expected
    assert rejected(warehouse) == expected_rejected
    # The pages of the API overlap, which gives duplicates; those of a file do not.
    kept = ("inserted", "updated", "unchanged", "stale", "quarantined")
    assert outcomes(by_file, *kept) == outcomes(by_api, *kept)
    by_the_rules, _ = counted(lines)
    accounts = outcomes(by_file, *OUTCOMES)
    assert {name: accounts[name] for name in by_the_rules} == {
        name: {outcome: own[outcome] for outcome in OUTCOMES} for name, own in by_the_rules.items()
    }


def test_day_by_day_or_at_once_in_pages_of_any_size_gives_the_same_tables(warehouse, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    write(made_up(6), folder / "shop.csv")
    landing = Landing(tmp_path / "landing")
    month = Window(WINDOW.start, WINDOW.start + timedelta(days=12))
    for entity in ENTITIES:
        ingest(warehouse, files_of(folder, entity), month, landing=landing)
    at_once = tables(warehouse)
    assert all(at_once.values())
    for table in TABLES:
        warehouse.execute(f"TRUNCATE {table}")
    warehouse.commit()
    for day in days(month.start, 12):
        for entity in ENTITIES:
            source = files_of(folder, entity)
            source._page_lines = 3  # type: ignore[attr-defined]
            ingest(warehouse, source, day, landing=landing)
    assert tables(warehouse) == at_once


def records_of(folder: Path, entity: str, *, page_lines: int = 10_000) -> tuple[list[Any], list[Any]]:
    source = files_of(folder, entity)
    source._page_lines = page_lines  # type: ignore[attr-defined]
    records, rejections = [], []
    for page in pages_of(source, WINDOW):
        found, raw = source.parse(page, WINDOW), source.split(page.body, WINDOW)
        own = [each for each in found.rejections if each.entity == entity]
        assert len(raw) == len(found.records) + len(own)
        for each in found.rejections:
            row, _, line = each.position.partition(".")
            place = raw[int(row)]
            assert each.payload == (source.split_lines(place)[int(line)] if line else place)
        records += found.records
        rejections += found.rejections
    return sorted(records, key=repr), rejections


@pytest.mark.parametrize("entity", ENTITIES)
def test_two_exports_that_overlap_and_write_dates_in_their_own_way_give_what_one_gives(tmp_path, entity):
    lines = made_up(7)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write(lines, tmp_path / "one" / "a.csv")
    write(lines[:300], tmp_path / "two" / "a.csv")
    swapped = [(*line[:4], us_date(line[4]), *line[5:]) for line in lines[200:]]
    write(swapped, tmp_path / "two" / "b.csv")
    (tmp_path / "two" / "b.csv.gz").write_bytes(gzip.compress((tmp_path / "two" / "b.csv").read_bytes()))
    (tmp_path / "two" / "b.csv").unlink()
    (one, _), (two, _) = records_of(tmp_path / "one", entity), records_of(tmp_path / "two", entity, page_lines=50)
    assert one
    assert list(map(without_copies, two)) == list(map(without_copies, one))


def without_copies(record: Any) -> Any:
    return replace(record, lines=tuple(sorted(set(record.lines), key=repr))) if hasattr(record, "lines") else record


def us_date(iso: str) -> str:
    """2010-12-31 08:26:00 as the UCI export writes it: 12/31/2010 8:26."""
    moment = datetime.fromisoformat(iso).replace(tzinfo=UTC)
    return f"{moment.month}/{moment.day}/{moment.year} {moment.hour}:{moment.minute:02d}"


BROKEN = [
    b"536365,85123A\n",
    b'536365,"85123A,X,1,2010-12-01 08:26:00,2.55,17850,United Kingdom\n',
    b"536365,85123A,X,six,2010-12-01 08:26:00,2.55,17850,United Kingdom\n",
    b"??,85123A,X,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n",
    b"536365,85123A,X,6,yesterday,2.55,17850,United Kingdom\n",
    b"536365,85123A,X\x00,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n",
]


@pytest.mark.parametrize("page_lines", [1, 3, 10_000])
def test_lines_that_cannot_be_read_are_quarantined_alone_with_their_numbers(tmp_path, page_lines):
    lines = made_up(8)[:40]
    (tmp_path / "sound").mkdir()
    (tmp_path / "broken").mkdir()
    content = write(lines, tmp_path / "sound" / "a.csv").read_bytes().splitlines(keepends=True)
    mixed = [part for line, broken in zip(content[1:], BROKEN, strict=False) for part in (line, broken)]
    (tmp_path / "broken" / "a.csv").write_bytes(b"".join([content[0], *mixed, *content[1 + len(BROKEN) :]]))
    for entity in ENTITIES:
        sound, _ = records_of(tmp_path / "sound", entity)
        found, rejections = records_of(tmp_path / "broken", entity, page_lines=page_lines)
        assert found == sound
        told = [each for each in rejections if each.rule_id in ("cells", "cell", "quotes", "nul_character")]
        assert len(told) == (len(BROKEN) if entity == "orders" else 0)
        for number, each in zip(range(3, 99, 2), sorted(told, key=lambda each: line_of(each)), strict=False):
            assert line_of(each) == number


def line_of(rejection: Any) -> int:
    return int(rejection.reason.rpartition(" line ")[2].rstrip(")"))


def test_what_is_no_export_is_refused_with_its_name(tmp_path):
    (tmp_path / "a.csv").write_text("id,date\n1,2020-01-01\n")
    with pytest.raises(ContractBroken, match=r"a.csv .*not an Online Retail export"):
        pages_of(files_of(tmp_path, "orders"), WINDOW)
    dates = ["13/1/2011 8:26", "1/13/2011 8:26"]
    write([(*BY_HAND[0][:4], date, *BY_HAND[0][5:]) for date in dates], tmp_path / "a.csv")
    with pytest.raises(ContractBroken, match=r"a.csv .*day and month"):
        pages_of(files_of(tmp_path, "orders"), WINDOW)
