"""The documentation as a site: it builds without a warning, no link is dead, and nothing is fetched from elsewhere."""

from __future__ import annotations

import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from tests.e2e.ui import chromium

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


class Page(HTMLParser):
    """What a page links to, what it loads by itself, and which anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif "src" in given:
            self.loaded.append(given["src"])
        elif tag == "link" and given.get("rel") in {"stylesheet", "preload", "preconnect", "icon"}:
            self.loaded.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    warnings: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("mkdocs").addHandler(handler)
    try:
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=False))
    finally:
        logging.getLogger("mkdocs").removeHandler(handler)
    assert warnings == [], "\n".join(["mend these; a page that is new also goes into nav of mkdocs.yml:", *warnings])
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_of_the_documentation_is_in_the_site(site):
    built = {path.relative_to(site).with_suffix("").as_posix().removesuffix("index") for path in site.rglob("*.html")}
    for path in DOCS.rglob("*.md"):
        assert path.relative_to(DOCS).with_suffix("").as_posix().removesuffix("README").removesuffix("index") in built


def test_no_link_and_no_anchor_is_dead(pages):
    dead = [
        f"{path.name} → {link}"
        for path, page in pages.items()
        for link in page.links
        if link and not is_elsewhere(link) and not leads_somewhere(link, path=path, pages=pages)
    ]
    assert dead == []


def test_nothing_is_fetched_from_elsewhere(site, pages):
    loaded = {link for page in pages.values() for link in page.loaded}
    for style in site.rglob("*.css"):
        loaded |= set(re.findall(r"""(?:url\(|@import )["']?([^"')]+)""", style.read_text()))
    assert loaded
    assert sorted(link for link in loaded if is_elsewhere(link)) == []


@pytest.mark.parametrize("name", ["README.md", "notebooks/README.md"])
def test_no_link_beside_the_documentation_is_dead(name, site, pages):
    file = ROOT / name
    if not file.exists():
        pytest.skip(f"there is no {name}")
    for link in re.findall(r"\]\(([^)\s]+)\)", file.read_text()):
        if is_elsewhere(link):
            continue
        parts = urlsplit(link)
        target = (file.parent / unquote(parts.path)).resolve()
        assert target.exists(), f"{name} links to {link}, which is not there"
        if parts.fragment and target.suffix == ".md" and target.is_relative_to(DOCS):
            built = site / target.relative_to(DOCS).with_suffix(".html")
            assert parts.fragment in pages[built].anchors, f"{name} links to {link}: there is no such heading"


@pytest.mark.needs_program("chromium")
def test_the_site_is_searched_without_a_server(site):
    with chromium() as browser:
        page = browser.new_page()
        page.goto((site / "index.html").as_uri())
        box = page.get_by_role("textbox", name="Search")
        box.click()
        box.press_sequentially("rollback champion")
        found = page.locator(".md-search-result__link").first
        found.wait_for()
        assert "/models.html" in found.get_attribute("href")


def test_every_file_that_the_documentation_speaks_of_is_there():
    """Paths below the folders of code, in code: `include/…`, `tests/…`."""
    spoken_of = {path: file.name for file in DOCS.rglob("*.md") for path in PATH.findall(file.read_text())}
    gone = {
        path: page for path, page in spoken_of.items() if not any(ROOT.glob(path)) and path not in WRITTEN_BY_READERS
    }
    assert gone == {}


PATH = re.compile(r"`((?:include|plugins|dags|tests|bench|deploy|notebooks)/[\w./*-]+)`")
WRITTEN_BY_READERS = {
    "include/entities/reviews.py",
    "include/sources/reviews.py",
    "include/sql/schema/NNNN_reviews.sql",
    "tests/integration/test_reviews.py",
}
"""What the walk through a new source has its reader write."""


def is_elsewhere(link: str) -> bool:
    return bool(urlsplit(link).scheme or urlsplit(link).netloc) and not link.startswith("data:")


def leads_somewhere(link: str, *, path: Path, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if target not in pages:
        return target.exists()
    return not parts.fragment or unquote(parts.fragment) in pages[target].anchors
