"""The documentation says what is so: its reference is that of the code, and what it tells people to run can be run."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from psycopg import Connection, ProgrammingError, sql

from include.local.reference.__main__ import FOLDER, pages
from tests.documented_commands import Told, blocks_of, problem_with, told_commands


def test_the_reference_is_as_the_code_and_the_comments_have_it(dag_bag, warehouse):
    written = pages(warehouse, dag_bag.dags, now=datetime(2025, 1, 1, tzinfo=UTC))
    assert set(written) == {path.name for path in FOLDER.glob("*.md")}
    stale = [name for name, content in written.items() if (FOLDER / name).read_text() != content]
    assert stale == [], "run `make reference` and commit docs/reference"


@pytest.mark.parametrize("told", told_commands(), ids=str)
def test_a_command_that_is_told_can_be_run(told: Told):
    assert problem_with(told.text, is_named=told.is_named) is None, str(told)


@pytest.mark.parametrize(
    "wrong",
    [
        "make demmo",
        "make demo CUSTOMER=3",
        'make ingestion DO="replay --entity orders --from 2024-06-01"',
        "python -m include.model list churn",
        "python -m include.models lst churn",
        "python -m bench everything",
        "airflow dags trigger",
        "airflow backfill create --dag shop_to_features",
        "docker compose exec schedular airflow dags list",
        "docker compose exec scheduler python -m include.models list",
    ],
)
def test_a_command_that_cannot_be_run_is_found(wrong):
    assert problem_with(wrong)


def test_dags_that_are_told_of_are_there():
    named = {
        name
        for told in told_commands()
        for names in re.findall(r"airflow dags (?:trigger|test|unpause) (\w+)|--dag-id (\w+)", told.text)
        for name in filter(None, names)
    }
    assert named
    assert named <= {path.stem for path in (FOLDER.parents[1] / "dags").glob("*.py")}


def test_sql_that_is_shown_is_understood_by_the_warehouse(warehouse: Connection):
    """Statements that read; what a page makes before, such as a table, is not there."""
    refused, asked = {}, 0
    for page, code in blocks_of("sql"):
        for statement in filter(str.strip, code.split(";")):
            if re.match(r"\s*(--[^\n]*\n\s*)*(SELECT|WITH)\b", statement, re.IGNORECASE):
                asked += 1
                try:
                    with warehouse.transaction():
                        warehouse.execute(sql.SQL("EXPLAIN {}").format(sql.SQL(statement)))
                except ProgrammingError as error:
                    refused[f"{page}: {statement}"] = str(error)
    assert asked
    assert refused == {}
