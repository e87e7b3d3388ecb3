"""The Airflow UI that `make up` opens, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import requests
from playwright.sync_api import Page, expect, sync_playwright

pytestmark = pytest.mark.needs_program("chromium")

BROWSER_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
DAGS = ("churn_model", "market_signals", "shop_to_features")


@dataclass(frozen=True)
class Opened:
    """What `make up` printed."""

    url: str
    user: str
    password: str
    metrics: str
    api: str
    api_key: str


@pytest.fixture(scope="module")
def opened(local: Callable) -> Iterator[Opened]:
    ended = local("up", "--customers", "300")
    assert ended.returncode == 0, ended.stderr
    told = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines() if len(line.split()) == 2)
    yield Opened(
        url=told["Airflow"], user=told["user"], password=told["password"], metrics=told["metrics"], api=told["API"],
        api_key=told["API-key"],
    )  # fmt: skip
    assert local("down").returncode == 0


@pytest.fixture
def page(opened: Opened) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=BROWSER_ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def log_in(page: Page, opened: Opened, *, password: str) -> None:
    page.goto(opened.url)
    page.get_by_label("Username").fill(opened.user)
    page.locator("input[type=password]").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_the_printed_login_shows_every_dag_and_no_import_error(page: Page, opened: Opened) -> None:
    log_in(page, opened, password=opened.password)
    page.get_by_role("link", name="Dags", exact=True).first.wait_for()
    page.goto(f"{opened.url}/dags")
    for dag_id in DAGS:
        expect(page.get_by_role("link", name=dag_id, exact=True).first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Import Error")).to_have_count(0)


def test_a_wrong_password_lets_nobody_in(page: Page, opened: Opened) -> None:
    log_in(page, opened, password="guessed")
    expect(page.get_by_text("Invalid credentials").first).to_be_visible(timeout=60_000)
    assert requests.get(f"{opened.url}/api/v2/dags", timeout=10).status_code == 401


def test_the_ui_listens_on_this_machine_alone(opened: Opened) -> None:
    assert opened.url.startswith("http://127.0.0.1:")


def test_the_printed_address_has_the_metrics_of_this_warehouse(opened: Opened) -> None:
    assert "regulars_up 1.0" in requests.get(opened.metrics, timeout=30).text


def test_the_printed_key_opens_the_printed_api(opened: Opened) -> None:
    path = f"{opened.api}/v1/products/{10**9}/bought-together"
    assert requests.get(path, timeout=30).status_code == 401
    answer = requests.get(path, headers={"Authorization": f"Bearer {opened.api_key}"}, timeout=30)
    assert answer.json()["type"] == "urn:problem-type:regulars:unknown-product"
    assert requests.get(f"{opened.api}/docs", timeout=30).status_code == 200
