"""Every golden case of every mart: what the shop held, and what the mart says of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from include.analytics.registry import MARTS
from include.warehouse.connection import connect_warehouse
from tests.integration.golden import FOLDER, assert_golden, cases

CASES = [folder for mart in sorted(path.name for path in FOLDER.iterdir()) for folder in cases(mart)]


@pytest.fixture(scope="module")
def empty_shop(postgres_server) -> Iterator[psycopg.Connection]:
    """One database for all cases: each is rolled back."""
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE golden TEMPLATE template_warehouse STRATEGY file_copy")
        with connect_warehouse(postgres_server.dsn("golden")) as conn:
            yield conn
        admin.execute("DROP DATABASE golden WITH (FORCE)")


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_it_says_what_was_worked_out_by_hand(empty_shop: psycopg.Connection, folder: Path):
    try:
        assert_golden(empty_shop, folder)
    finally:
        empty_shop.rollback()


def test_every_folder_of_cases_is_of_a_mart():
    assert {folder.parent.name for folder in CASES} <= set(MARTS)
