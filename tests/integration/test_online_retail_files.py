"""An Online Retail file read as files: the tables are those of the same file read through a shop's API."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.factory import source_for
from include.sources.settings import SourceSettings
from include.sources.source import Source
from tests.integration.ingestion_shop import days, ingest, rows_of, source_of
from tests.integration.sandbox_process import sandbox
from tests.integration.test_online_retail import BY_HAND, WINDOW, made_up, write

ENTITIES = ("customers", "products", "orders", "refunds")
TABLES = ("shop.customers", "shop.products", "shop.orders", "shop.order_lines", "shop.refunds", "shop.refund_lines")
NOT_OF_THE_RECORD = {"source"}


def files_of(folder: Path, entity: str) -> Source:
    settings = SourceSettings(name="shop_api", base_url=str(folder), kind="file", extra={"layout": "online_retail"})
    return source_for(entity, settings_of=lambda name: settings)


def tables(conn) -> dict[str, list[dict[str, Any]]]:
    return {table: rows_of(conn, table, without=NOT_OF_THE_RECORD) for table in TABLES}


def outcomes(runs: dict[str, Any]) -> dict[tuple[str, str], tuple[int, ...]]:
    return {
        (entity, each.entity): (each.received, each.inserted, each.duplicate, each.quarantined)
        for entity, run in runs.items()
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
    expected, expected_outcomes, expected_rejected = tables(warehouse), outcomes(by_api), rejected(warehouse)
    assert all(expected.values())
    for table in (*TABLES, "quarantine.rejected_rows"):
        warehouse.execute(f"TRUNCATE {table}")
    warehouse.commit()
    by_file = {each: ingest(warehouse, files_of(folder, each), WINDOW, landing=landing) for each in ENTITIES}
    assert tables(warehouse) == expected
    assert outcomes(by_file) == expected_outcomes
    assert rejected(warehouse) == expected_rejected


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
