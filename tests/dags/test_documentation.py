"""The documentation says what is so: its reference is that of the code, and what it tells people to run can be run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from include.local.reference.__main__ import FOLDER, pages
from tests.documented_commands import ROOT, Told, problem_with, told_commands, told_pages, words_of
from tests.shown_elsewhere import COMMANDS, NOT_RUN, PROGRAMS, is_listed

DONE_HERE = re.compile(r"airflow (?:variables set|pools import|dags trigger|backfill create) .+")


def test_the_reference_is_as_the_code_and_the_comments_have_it(parsed_dags, warehouse):
    written = pages(warehouse, parsed_dags.dags, now=datetime(2025, 1, 1, tzinfo=UTC))
    assert set(written) == {path.name for path in FOLDER.glob("*.md")}
    stale = [name for name, content in written.items() if (FOLDER / name).read_text() != content]
    assert stale == [], "run `make reference` and commit docs/reference"


@pytest.mark.parametrize("told", [told for told in told_commands() if is_listed(told.text)], ids=str)
def test_a_command_that_is_not_run_with_the_pages_is_understood(told: Told):
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


@pytest.fixture
def scheduled_dag(metadata_database: None) -> Iterator[None]:
    """Airflow knows the DAG that the commands are about, until they are done: neither runs nor variables are left."""
    from airflow.api.common.delete_dag import delete_dag
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.variable import Variable

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(DagBag(str(ROOT / "dags" / "shop_to_features.py")), "dags-folder", None)
    yield
    delete_dag("shop_to_features")
    Variable.delete("churn_needs_approval")


@pytest.mark.parametrize("told", [told for told in told_commands() if DONE_HERE.fullmatch(told.text)], ids=str)
def test_a_command_of_airflow_that_is_told_is_done(scheduled_dag, told: Told):
    from airflow.cli.cli_parser import get_parser

    arguments = get_parser().parse_args(words_of(told.text)[1:])
    arguments.func(arguments)


def test_what_is_not_run_with_the_pages_is_run_by_the_test_that_is_named_or_has_a_reason():
    for test in {*COMMANDS.values(), *PROGRAMS.values()}:
        file, name = test.split("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"there is no {test}"
    listed = [told.text for told in told_commands()]
    for pattern in (*COMMANDS, *NOT_RUN):
        assert any(re.fullmatch(pattern, text) for text in listed), f"no page tells {pattern}"
    for text in listed:
        fitting = [pattern for pattern in (*COMMANDS, *NOT_RUN) if re.fullmatch(pattern, text)]
        assert len(fitting) < 2, f"{text} is listed more than once: {fitting}"
    assert all((ROOT / page).is_file() for page in PROGRAMS)


def test_a_connection_that_is_shown_is_read_by_airflow():
    """Those that are written out; `…` stands for a secret or a number."""
    from airflow.sdk import Connection

    shown = [
        (page.name, match[1].replace('"port": …', '"port": 1'))
        for page in told_pages()
        for match in re.finditer(r"^.*AIRFLOW_CONN_[A-Z_]+='?({.*})'?", page.read_text(), re.MULTILINE)
    ]
    assert len(shown) > 3
    for page, text in shown:
        assert Connection.from_json(text).conn_type in {"http", "fs", "aws", "postgres"}, page
