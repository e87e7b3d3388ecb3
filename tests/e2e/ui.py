"""Airflow's UI in a real browser, and what is looked for on each page that the project adds to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.demo_run import CUSTOMERS

BROWSER_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDE, NARROW = 1280, 390
_DRAWN = """() => [...document.querySelectorAll('.plot')].every(plot => plot.dataset.state === 'drawn')
    && !document.querySelector('[aria-busy=true]')"""
_THEME = "theme => { localStorage.setItem('theme', theme); }"


@dataclass(frozen=True)
class Opened:
    """What `make up` printed."""

    url: str
    user: str
    password: str
    metrics: str
    api: str
    api_key: str


def open_ui(local: Callable) -> Opened:
    """`make up`."""
    ended = local("up", "--customers", str(CUSTOMERS))
    assert ended.returncode == 0, ended.stderr
    told = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines() if len(line.split()) == 2)
    return Opened(
        url=told["Airflow"], user=told["user"], password=told["password"], metrics=told["metrics"], api=told["API"],
        api_key=told["API-key"],
    )  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()


def log_in(page: Page, opened: Opened, *, password: str) -> None:
    """Fill in Airflow's form."""
    page.goto(opened.url)
    page.get_by_label("Username").fill(opened.user)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()


def logged_in_page(browser: Browser, opened: Opened) -> Page:
    """A page of somebody who has logged in by the form."""
    page = browser.new_context().new_page()
    page.set_default_timeout(60_000)
    log_in(page, opened, password=opened.password)
    page.get_by_role("link", name="Dags", exact=True).first.wait_for()
    return page


@dataclass
class Look:
    """What was wrong with one page, if anything."""

    path: str
    problems: list[str] = field(default_factory=list)


class Viewer:
    """Looks at pages in both colour modes and at both widths; the mode is changed from another tab, as Airflow does.

    :param folder: where the pictures go.
    """

    def __init__(self, context: BrowserContext, *, url: str, folder: Path) -> None:
        self._other = context.new_page()
        self._other.goto(f"{url}/regulars/static/icon.svg")
        self.page = context.new_page()  # Made last: the browser draws what is in front.
        self.page.set_default_timeout(60_000)
        self._folder, self._url = folder, url
        self._console: list[str] = []
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("pageerror", lambda error: self._console.append(f"page error: {error}"))
        self.page.on("requestfailed", lambda request: self._console.append(f"request failed: {request.url}"))
        self.page.on("request", self._note_request)

    def look(self, path: str) -> Look:
        """Open a page once and see it four ways."""
        self._console.clear()
        look = Look(path)
        self.page.set_viewport_size({"width": WIDE, "height": 900})
        self._other.evaluate(_THEME, "light")
        self.page.bring_to_front()
        answer = self.page.goto(f"{self._url}{path}")
        assert answer is not None
        if answer.status != 200:
            look.problems.append(f"answered {answer.status}")
        for theme in ("light", "dark"):
            self._other.evaluate(_THEME, theme)
            self.page.wait_for_function("theme => document.documentElement.dataset.theme === theme", arg=theme)
            for width in (WIDE, NARROW):
                self.page.set_viewport_size({"width": width, "height": 900})
                self.page.wait_for_function(_DRAWN)
                look.problems += self._seen(path, theme, width)
            look.problems += [f"{theme}: {each}" for each in self._serious(theme)]
        look.problems += self._console
        return look

    def _seen(self, path: str, theme: str, width: int) -> list[str]:
        name = path.removeprefix("/regulars/").replace("/", "-")
        self.page.screenshot(path=self._folder / f"{name}-{theme}-{width}.png", full_page=True)
        too_wide = self.page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return [f"{theme}, {width} wide: {too_wide} pixels stand out"] if too_wide else []

    def _serious(self, theme: str) -> list[str]:
        """Dark differs from light in its colours alone; drawings are hidden from readers, who have their words."""
        drawings = {"exclude": [[".plot svg"]]}
        options = {"runOnly": ["color-contrast"]} if theme == "dark" else None
        found: list[dict[str, Any]] = Axe().run(self.page, drawings, options).response["violations"]
        return [
            f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self._console.append(f"console: {text}")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:", "blob:")):
            self._console.append(f"asked another server: {request.url}")
