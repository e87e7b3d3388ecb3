"""What a reader runs: the notebooks from top to bottom, and what the pages show and tell, on one small shop."""

from __future__ import annotations

import contextlib
import io
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import nbformat
import psycopg
import pytest
from nbclient import NotebookClient

from include.warehouse.connection import connect_warehouse
from notebooks.run import execute, kernel, notebooks
from tests.documented_commands import ROOT, Told, told_commands
from tests.integration.guide_pages import Block, blocks
from tests.integration.learners_shop import fill
from tests.integration.redis_process import NEEDS_REDIS, redis_server
from tests.integration.sandbox_process import SandboxProcess, sandbox
from tests.integration.told_runs import run_told
from tests.own_database import connection, own_database
from tests.shown_elsewhere import PROGRAMS, is_listed

CUSTOMERS = 250
MOST_BYTES = 250_000
EXAMPLES = [block for block in blocks() if block.title is None and block.name not in PROGRAMS]
EXCERPTS = [block for block in blocks() if block.title is not None]
REDIS = "redis://127.0.0.1:6379"


@dataclass(frozen=True)
class LearnersShop:
    """A warehouse as `make demo` leaves it, and the shop that it was filled from, still open.

    :param copied_dsn: the same warehouse once more, for commands that write.
    :param folder: holds `landing`, with what was brought in.
    """

    dsn: str
    copied_dsn: str
    box: SandboxProcess
    folder: Path

    def environment(self) -> dict[str, str]:
        """What a command finds of it."""
        return {
            "AIRFLOW_CONN_WAREHOUSE": connection(self.copied_dsn),
            "REGULARS_STORAGE": str(self.folder),
            "REGULARS_LANDING": "",
        }


@pytest.fixture(scope="module")
def shop(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LearnersShop]:
    folder = tmp_path_factory.mktemp("learners")
    with own_database(postgres_server, "learners") as dsn, sandbox(customers=CUSTOMERS) as box:
        with connect_warehouse(dsn) as conn:
            fill(conn, box, folder / "landing")
        with own_database(postgres_server, "learners_copied", template="learners") as copied_dsn:
            yield LearnersShop(dsn, copied_dsn, box, folder)


@pytest.fixture(scope="module")
def client(shop: LearnersShop) -> Iterator[NotebookClient]:
    """A kernel that finds the learners' shop."""
    with kernel(os.environ | {"REGULARS_WAREHOUSE_DSN": shop.dsn, "OMP_NUM_THREADS": "1"}) as running:
        yield running


@pytest.fixture
def desk() -> Iterator[ModuleType]:
    """The desk, as it is before it has found a warehouse."""
    from notebooks import desk

    yield desk
    if desk._reader.cache_info().currsize:
        desk._reader().close()
    desk._reader.cache_clear()
    desk.warehouse_dsn.cache_clear()


def row_counts(dsn: str) -> dict[str, int]:
    """Rows of every table there is."""
    with psycopg.connect(dsn) as conn:
        tables = conn.execute(
            """
            SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
            WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
            """
        ).fetchall()
        return {name: conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in tables}


def test_there_are_five_notebooks():
    assert [path.stem[:2] for path in notebooks()] == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom_what_it_claims_holds_and_nothing_is_kept(shop, client, path):
    """A cell that fails, also an `assert` in it, fails the run."""
    before = row_counts(shop.dsn)
    ran = execute(path, client)
    assert row_counts(shop.dsn) == before
    outputs = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert any("image/svg+xml" in output.get("data", {}) for output in outputs)


def test_the_desk_only_asks(shop, desk, monkeypatch):
    monkeypatch.setenv(desk.WAREHOUSE, shop.dsn)
    assert desk.ask("SELECT %s::numeric AS amount", "1.50").amount[0] == 1.5
    assert f"{desk.data_until():%Y-%m-%d}" == "2026-01-01"
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        desk.ask("CREATE TABLE kept (id bigint)")


def test_the_desk_asks_make_for_the_warehouse_or_says_what_to_do(desk, monkeypatch, tmp_path):
    monkeypatch.delenv(desk.WAREHOUSE, raising=False)
    put_make(tmp_path, "echo Installing; echo postgresql://here", monkeypatch)
    assert desk.warehouse_dsn() == "postgresql://here"
    desk.warehouse_dsn.cache_clear()
    put_make(tmp_path, "echo nothing here yet >&2; exit 2", monkeypatch)
    with pytest.raises(desk.NoWarehouse, match=r"code 2: nothing here yet[\s\S]*Run `make demo`"):
        desk.warehouse_dsn()


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_as_committed_it_shows_what_it_does_claims_something_and_is_small(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].source.startswith("from desk import ")
    assert any(line.startswith("assert ") for cell in code for line in cell.source.splitlines())
    if len(code) != len([cell for cell in code if cell.execution_count]) or not any(cell.outputs for cell in code):
        pytest.fail(f"{path.name} was saved without what it shows. Run `make notebooks`.")
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    text = path.read_text()
    assert len(text) < MOST_BYTES, f"{path.name} has {len(text)} bytes: draw fewer marks."
    assert "postgresql://" not in text and str(ROOT) not in text
    links = [link for cell in notebook.cells for link in re.findall(r"\]\(([^)#]+)", cell.source) if "/" in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_block_is_of_a_kind_that_is_run_compared_or_read():
    assert {block.language for block in EXAMPLES} == {"python", "sql", "sh", "json"}
    assert len(EXAMPLES) >= 40 and len(EXCERPTS) >= 15


@pytest.mark.parametrize("block", EXCERPTS, ids=str)
def test_an_excerpt_is_what_stands_in_the_file(block):
    file = ROOT / block.title
    lines = [line.strip() for line in file.read_text().splitlines()]
    at = 0
    for piece in block.pieces:
        wanted = [line.strip() for line in piece.splitlines()]
        starts = [place for place in range(at, len(lines)) if lines[place : place + len(wanted)] == wanted]
        assert starts, f"{block.title} does not hold (any more), in this order:\n{piece}\nCorrect {block.page.name}."
        at = starts[0] + len(wanted)


@pytest.mark.parametrize("block", [block for block in EXAMPLES if block.language == "sql"], ids=str)
def test_a_query_of_the_pages_runs(shop, block):
    with psycopg.connect(shop.dsn) as conn:
        conn.execute(block.code.encode())
        conn.rollback()


def programs() -> list[pytest.param]:
    """The blocks of Python of each page, which is read from top to bottom."""
    pages: dict[str, list[Block]] = {}
    for block in EXAMPLES:
        if block.language == "python":
            pages.setdefault(block.name, []).append(block)
    return [
        pytest.param(own, id=name, marks=[NEEDS_REDIS] if any(REDIS in block.code for block in own) else [])
        for name, own in pages.items()
    ]


@pytest.mark.parametrize("page", programs())
def test_the_programs_of_a_page_run_and_print_what_it_says(shop, page, tmp_path, monkeypatch):
    """They find `conn`, a connection that is rolled back, and servers and folders where the page says that they are."""
    put_make(tmp_path, f"echo {shop.dsn}", monkeypatch)
    with contextlib.ExitStack() as stack:
        there = {
            "http://127.0.0.1:8090": shop.box.base_url, '"key"': repr(shop.box.consumer_key),
            '"secret"': repr(shop.box.consumer_secret), "/srv/regulars": str(tmp_path),
        }  # fmt: skip
        if any(REDIS in block.code for block in page):
            there[REDIS] = stack.enter_context(redis_server())
        conn = stack.enter_context(connect_warehouse(shop.dsn))
        names = {"conn": conn, "dsn": shop.dsn, "__name__": "__main__"}
        for block in page:
            code = block.code
            for said, found in there.items():
                code = code.replace(said, found)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(code, str(block), "exec"), names)
            if block.printed is not None:
                assert printed.getvalue().strip() == textwrap.dedent(block.printed).strip()
        conn.rollback()


def put_make(folder: Path, does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program `make` in front of the real one."""
    make = folder / "make"
    make.write_text(f"#!/bin/sh\n{does}\n")
    make.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize("told", [told for told in told_commands() if not is_listed(told.text)], ids=str)
def test_a_command_of_the_pages_runs(shop, told: Told, tmp_path):
    """On a warehouse of their own, in the order of the pages: replays, erasures and keys are kept."""
    text = told.text.replace("path/to/", f"{tmp_path}/")
    ended = run_told(text, environment=shop.environment(), dsn=shop.copied_dsn)
    assert ended.code == 0, ended.printed
