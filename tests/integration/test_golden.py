"""Every golden case of every mart: what the shop held, and what the mart says of it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from include.analytics.registry import MARTS
from tests.integration.golden import FOLDER, assert_golden, cases

CASES = [folder for mart in sorted(path.name for path in FOLDER.iterdir()) for folder in cases(mart)]


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_it_says_what_was_worked_out_by_hand(empty_shop: psycopg.Connection, folder: Path):
    assert_golden(empty_shop, folder)


def test_every_folder_of_cases_is_of_a_mart():
    assert {folder.parent.name for folder in CASES} <= set(MARTS)
