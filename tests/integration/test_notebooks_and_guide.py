"""What a learner runs: the notebooks from top to bottom, and every example of the guide, on one small shop."""

from __future__ import annotations

import contextlib
import io
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import nbformat
import psycopg
import pytest
from nbclient import NotebookClient

from include.warehouse.connection import connect_warehouse
from notebooks.run import execute, kernel, notebooks
from tests.integration.guide_pages import PAGES, ROOT, Block, blocks
from tests.integration.learners_shop import fill
from tests.integration.sandbox_process import SandboxProcess, sandbox

CUSTOMERS = 250
MOST_BYTES = 250_000
EXAMPLES = [block for block in blocks() if block.title is None]
EXCERPTS = [block for block in blocks() if block.title is not None]


@dataclass(frozen=True)
class LearnersShop:
    """A warehouse as `make demo` leaves it, and the shop that it was filled from, still open."""

    dsn: str
    box: SandboxProcess


@pytest.fixture(scope="module")
def shop(postgres_server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LearnersShop]:
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE learners TEMPLATE template_warehouse STRATEGY file_copy")
    dsn = postgres_server.dsn("learners")
    with sandbox(customers=CUSTOMERS) as box:
        with connect_warehouse(dsn) as conn:
            fill(conn, box, tmp_path_factory.mktemp("landing"))
        yield LearnersShop(dsn, box)
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as admin:
        admin.execute("DROP DATABASE learners WITH (FORCE)")


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
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    make = tmp_path / "make"
    make.write_text("#!/bin/sh\necho Installing; echo postgresql://here\n")
    make.chmod(0o755)
    assert desk.warehouse_dsn() == "postgresql://here"
    desk.warehouse_dsn.cache_clear()
    make.write_text("#!/bin/sh\necho nothing here yet >&2; exit 2\n")
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


def test_there_are_pages_with_examples_and_excerpts():
    assert len(PAGES) >= 15 and len(EXAMPLES) >= 15 and len(EXCERPTS) >= 15


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
def test_a_query_of_the_guide_runs(shop, block):
    with psycopg.connect(shop.dsn, options="-c default_transaction_read_only=on") as conn:
        for statement in block.code.split(";\n"):
            if statement.strip():
                assert conn.execute(statement).description


@pytest.mark.parametrize("block", [block for block in EXAMPLES if block.language == "python"], ids=str)
def test_a_program_of_the_guide_runs_and_prints_what_the_page_says(shop, block):
    """It finds `conn`, a connection that is rolled back, and the sandbox where the page says that it started one."""
    code = at_the_shop(block, shop.box)
    printed = io.StringIO()
    with connect_warehouse(shop.dsn) as conn, contextlib.redirect_stdout(printed):
        exec(compile(code, str(block.page), "exec"), {"conn": conn, "__name__": "__main__"})
        conn.rollback()
    if block.printed is not None:
        assert printed.getvalue().strip() == textwrap.dedent(block.printed).strip()


def at_the_shop(block: Block, box: SandboxProcess) -> str:
    """The code with the address and the key of the sandbox that runs for the tests."""
    return (
        block.code.replace("http://127.0.0.1:8090", box.base_url)
        .replace('"key"', repr(box.consumer_key))
        .replace('"secret"', repr(box.consumer_secret))
    )
