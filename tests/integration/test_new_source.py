"""`make new-source`, and the walk through it in docs/add-a-source.md, followed to the letter in a copy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WALK = ROOT / "docs" / "add-a-source.md"
TEST_FILE = "tests/integration/test_reviews.py"
LONG_NAME = "product_return_parcel_delivers"
SANDBOX = """
import asyncio, httpx
from include.local.sandbox import __main__ as sandbox
from include.local.sandbox.app import Credentials, build_app
app = build_app(sandbox.load_shop(data=None, customers=5, seed=1), credentials=Credentials("key", "secret", "c", "d"))
async def ask():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", auth=("key", "secret")) as client:
        answer = await client.get("/wp-json/wc/v3/products/reviews?per_page=100&orderby=id&order=asc&offset=0")
    print(answer.status_code, answer.json(), answer.headers["X-WP-Total"])
asyncio.run(ask())
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files of the project, without those that git ignores, in a folder of their own."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "AIRFLOW_HOME")}
    environment |= variables
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def begin(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "-m", "include.local.new_source", *words)


def run_tests(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Without plugins, which take seconds."""
    return run(folder, "-m", "pytest", "-p", "no:cacheprovider", *words, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")


def first_complaint(folder: Path) -> str:
    """What the tests of the new source print, up to the first that fails."""
    told = run_tests(folder, "-x", TEST_FILE)
    assert told.returncode == 1, told.stdout
    return told.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and ".ruff_cache" not in path.parts
    }


@dataclass(frozen=True)
class Block:
    """A block of code of the walk and the file that it belongs to."""

    file: str
    language: str
    code: str


def blocks() -> Iterator[Block]:
    """The blocks of the walk, each for the file named last before it."""
    text = WALK.read_text()
    end, file = 0, ""
    for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        named = re.findall(r"`((?:include|tests|dags)/[^`\s]+\.\w+)`", text[end : match.start()])
        file = named[-1] if named else file
        end = match.end()
        if match[1] != "sh":
            yield Block(file, match[1], match[2])


def apply(block: Block, folder: Path) -> None:
    """Do what the walk says with a block: it is the file, or a change of it, or a line that the file has already."""
    (path,) = folder.glob(block.file.replace("NNNN", "[0-9]*"))
    before = path.read_text()
    if block.language == "diff":
        lines = block.code.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert before.count(old) == 1, f"{block.file} has {before.count(old)} places for this change:\n{block.code}"
        path.write_text(before.replace(old, new))
    elif block.file == "include/sources/factory.py":
        assert block.code.strip() in before
    else:
        path.write_text(block.code)


@pytest.mark.slow
def test_the_walk_through_a_new_source_leads_where_it_says(copy):
    assert begin(copy, "reviews", "--connection", "shop_api").returncode == 0
    steps = list(blocks())
    assert len(steps) == 12
    files = list(dict.fromkeys(block.file for block in steps))
    asked = {
        "include/entities/reviews.py": "give the record a field",
        "include/sources/reviews.py": "write the path of the API into PATH",
        TEST_FILE: "put into API_ROWS",
        "tests/unit/source_pages.py": "add to _ROWS a good row",
        "tests/integration/test_entities.py": "add to BROKEN a row that breaks ['rating_in_range']",
        "dags/shop_to_features.py": "add 'reviews' with its connection to ENTITIES",
    }
    for file in files:
        if file in asked:
            assert f"{file}: {asked.pop(file)}" in first_complaint(copy)
        for block in steps:
            if block.file == file:
                apply(block, copy)
    assert not asked, "the walk leaves these out"

    every = (TEST_FILE, "tests/integration/test_entities.py", "tests/unit/test_parsing.py")
    ended = run_tests(copy, "-v", *every, "-k", "reviews or test_every")
    assert ended.returncode == 0, ended.stdout
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None and int(passed[1]) > 25
    assert run(copy, "-c", SANDBOX).stdout.split() == ["200", "[]", "0"]
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check"], ["format", "--check"]):
        written = [str(path) for block in steps for path in copy.glob(block.file.replace("NNNN", "[0-9]*"))]
        python = [path for path in written if path.endswith(".py")]
        told = subprocess.run([ruff, *command, *python], cwd=copy, capture_output=True, text=True)
        assert told.returncode == 0, told.stdout


def test_a_table_that_lacks_columns_is_told_the_lines_to_add(copy):
    begin(copy, "reviews")
    entity = next(block for block in blocks() if block.file == "include/entities/reviews.py")
    apply(entity, copy)
    told = run_tests(copy, TEST_FILE, "-k", "test_7")
    assert told.returncode == 1, told.stdout
    assert re.search(r"include/sql/schema/[0-9]{4}_reviews.sql: add these columns", told.stdout)
    migration = next(block for block in blocks() if block.language == "sql").code
    for line in re.findall(r"^E +(\w+ [\w ]+,)$", told.stdout, flags=re.MULTILINE):
        assert line in migration
    assert told.stdout.count("boolean NOT NULL,") >= 2


@pytest.mark.parametrize("name", ["reviews", LONG_NAME])
def test_the_fresh_skeleton_passes_every_linter(copy, name):
    before = contents(copy)
    ended = begin(copy, name)
    assert ended.returncode == 0, ended.stderr
    changed = {path for path, content in contents(copy).items() if before.get(path) != content}
    written = [line.split()[-1] for line in ended.stdout.splitlines() if line.startswith(("wrote", "registered"))]
    assert changed == set(written)
    for path in ("include/entities/registry.py", "include/sources/factory.py"):
        was, now = before[path].decode().splitlines(), (copy / path).read_text().splitlines()
        assert len(now) == len(was) + 2, "one import and one line"
        assert [line for line in now if line in was] == was
    python = [path for path in written if path.endswith(".py")]
    scripts = Path(sys.executable).parent
    commands = [
        [scripts / "ruff", "check", *python],
        [scripts / "ruff", "format", "--check", *python],
        [scripts / "sqlfluff", "lint", *(path for path in written if path.endswith(".sql"))],
    ]
    if name == "reviews":
        commands += [
            [scripts / "lint-imports", "--no-cache"],
            [scripts / "mypy", "--cache-dir=.mypy_cache", *(path for path in python if path.startswith("include"))],
        ]
    for command in commands:
        told = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
        assert told.returncode == 0, f"{command[0].name}: {told.stdout}{told.stderr}"


@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("Reviews", "is no name of records"),
        ("product-reviews", "is no name of records"),
        ("../reviews", "is no name of records"),
        ("", "is no name of records"),
        ("x" * 40 + "s", "is no name of records"),
        ("review", "is no plural"),
        ("classes", "is a word of Python"),
        ("lists", "is a word of Python"),
        ("orders", "is taken by include/entities/orders.py"),
        ("refund_lines", "is taken by the table shop.refund_lines"),
        ("settings", "is taken by include/sources/settings.py"),
        ("features", "is taken by include/sql/schema/0002_features.sql"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_written(tmp_path, name, because):
    from include.local.new_source import NameRefused, new_source

    with pytest.raises(NameRefused, match=re.escape(because)):
        new_source(name, connection="shop_api", root=ROOT)


def test_a_second_time_is_refused_and_nothing_written(copy):
    assert begin(copy, "reviews").returncode == 0
    before = contents(copy)
    again = begin(copy, "reviews")
    assert again.returncode == 2
    assert "'reviews' is taken by include/entities/reviews.py" in again.stderr
    assert again.stderr.rstrip().endswith("Nothing was written.")
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("reviews", "review"),
        ("categories", "category"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("purchases", "purchase"),
    ],
)
def test_the_record_is_named_in_the_singular(name, record):
    from include.local.new_source import check_name

    assert check_name(name) == record


def test_make_passes_name_and_connection_on():
    shown = subprocess.run(
        ["make", "--no-print-directory", "-n", "new-source", "NAME=reviews", "CONNECTION=shop_api"],
        cwd=ROOT, capture_output=True, text=True,
    ).stdout.splitlines()[-1]  # fmt: skip
    script = shown.replace(".venv/bin/python -m include.local.new_source", "printf '%s\\n'")
    environment = {**os.environ, "NAME": "reviews", "CONNECTION": "shop_api"}
    told = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["reviews", "--connection", "shop_api"]
