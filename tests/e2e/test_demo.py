"""`make demo` from nothing to its summary, and `make up` on what it left, in a real browser; slow: the demo again.

One file, because one shop's data serves all of it.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import requests
from playwright.sync_api import Page, expect

from include.analytics.registry import MARTS
from include.features.registry import FEATURE_VIEWS
from tests.e2e.demo_run import SHOP_TABLES, Ran, commands_of
from tests.e2e.ui import Opened, Viewer, chromium, log_in, logged_in_page, open_ui

needs_chromium = pytest.mark.needs_program("chromium")

STEPS = {
    "shop_to_features": {
        *(f"{step}_{entity}" for step in ("extract", "validate", "upsert")
          for entity in ("customers", "products", "orders", "refunds", "events")),
        *(f"build_{view}" for view in FEATURE_VIEWS), "publish_online", "summarize_window",
    },
    "market_signals": {
        *(f"{step}_{entity}" for step in ("extract", "validate", "upsert")
          for entity in ("weather_daily", "stock_prices_daily")),
        "summarize_window",
    },
    "churn_model": {"build_training_set", "train", "evaluate", "approve_champion", "promote"},
    "lifetime_value": {"fit_lifetime", "score_lifetime"},
    "product_recommendations": {"build_candidates", "evaluate_candidates", "publish_recommendations"},
    "customer_scores": {"score_customers", "monitor_scores", "train_on_drift"},
    "analytics_marts": {"note_lineage"} | {f"refresh_{mart}" for mart in MARTS},
}  # fmt: skip
MAY_BE_SKIPPED = {"customer_scores"}
"""Without a champion there is nothing to score with, and of so small a shop no model may become one."""


@pytest.fixture(scope="module")
def first(local: Callable, home: Path) -> Ran:
    return Ran(local, home)


def test_the_first_run_does_every_step_and_every_check_holds(first: Ran) -> None:
    done: dict[str, set[str]] = {}
    for step in first.summary["steps"]:
        assert step["state"] == "success" or (step["state"] == "skipped" and step["dag_id"] in MAY_BE_SKIPPED), step
        done.setdefault(step["dag_id"], set()).add(step["task_id"])
    assert done == STEPS
    assert first.summary["ok"]
    assert all(check["holds"] for check in first.summary["checks"])
    assert not first.summary["is_repeat"]
    assert not first.summary["is_nothing_new"]


def test_the_warehouse_holds_what_the_shop_has(first: Ran) -> None:
    health = first.summary["shop"]["health"]
    assert health["customers"] == 300
    for table in ("customers", "products", "orders", "refunds", "events"):
        assert first.counts[table] == health[table] > 0, table
    assert first.quarantined == 0


def test_the_summary_tells_the_figures_of_the_tables(first: Ran) -> None:
    for table in SHOP_TABLES:
        assert first.summary["entities"][table]["inserted"] == first.counts[table], table
        assert first.summary["tables"][f"shop.{table}"] == {"rows_before": 0, "rows": first.counts[table]}
        assert f"{first.counts[table]:,}" in first.ended.stdout
    assert first.summary["features"]["customer_rfm"]["history_rows"] == first.history > 0


def test_the_model_is_judged_beside_its_baselines(first: Ran) -> None:
    model = first.summary["model"]
    assert {"model", "recency_only", "rfm_score"} <= set(model["scores"])
    assert model["registry_version"] == "1"
    assert all(0.0 < scores["auc"] < 1.0 for scores in model["scores"].values())
    assert model["is_champion"] == (model["status"] == "champion")
    assert f"{model['scores']['model']['auc']:.4f}" in first.ended.stdout


def test_a_line_is_told_for_every_task(first: Ran) -> None:
    for dag_id, tasks in STEPS.items():
        for task in tasks:
            lines = [line for line in first.ended.stdout.splitlines() if f"{dag_id}: {task} " in line]
            assert any("success" in line or (dag_id in MAY_BE_SKIPPED and "skipped" in line) for line in lines), task


@pytest.fixture(scope="module")
def opened(first: Ran, local: Callable) -> Opened:
    """`make up` on the demo's data."""
    return open_ui(local)


@pytest.fixture
def page() -> Iterator[Page]:
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(60_000)
        yield page


@pytest.fixture
def user(opened: Opened) -> Iterator[Page]:
    """A page of somebody who has logged in."""
    with chromium() as browser:
        yield logged_in_page(browser, opened)


@needs_chromium
def test_the_printed_login_shows_every_dag_and_no_import_error(page: Page, opened: Opened) -> None:
    log_in(page, opened, password=opened.password)
    page.get_by_role("link", name="Dags", exact=True).first.wait_for()
    page.goto(f"{opened.url}/dags")
    for dag_id in ("churn_model", "market_signals", "shop_to_features"):
        expect(page.get_by_role("link", name=dag_id, exact=True).first).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Import Error")).to_have_count(0)


@needs_chromium
def test_a_wrong_password_lets_nobody_in(page: Page, opened: Opened) -> None:
    log_in(page, opened, password="guessed")
    expect(page.get_by_text("Invalid credentials").first).to_be_visible(timeout=60_000)
    assert requests.get(f"{opened.url}/api/v2/dags", timeout=10).status_code == 401
    assert requests.get(f"{opened.url}/regulars/today", timeout=60).status_code == 401


@needs_chromium
def test_every_page_is_whole_in_light_and_dark_wide_and_narrow(
    user: Page, opened: Opened, tmp_path: Path, local
) -> None:
    """The pictures are kept where SCREENSHOTS says, if it is set."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    with psycopg.connect(local("dsn").stdout.strip()) as conn:
        buyers = "SELECT customer_id FROM shop.orders GROUP BY customer_id ORDER BY count(customer_id) DESC LIMIT 1"
        customer = conn.execute(buyers).fetchone()
    assert customer is not None
    viewer = Viewer(user.context, url=opened.url, folder=folder)
    names = ("today", "today/fill", "shop", "customers", f"customers/{customer[0]}", "models", "features",
             "features/customer_rfm", "data", "data/shop.orders")  # fmt: skip
    looks = [viewer.look(f"/regulars/{name}") for name in names]
    assert {look.path: look.problems for look in looks if look.problems} == {}


@needs_chromium
def test_airflows_navigation_leads_to_the_pages_which_follow_its_colours_and_lead_back(user: Page, opened) -> None:
    user.get_by_role("link", name="Regulars").first.click()
    frame = user.frame_locator("iframe[title=Regulars]")
    frame.get_by_role("heading", name="Today", level=1).wait_for()
    root = frame.locator("html")
    for theme in ("dark", "light"):
        user.get_by_role("button", name="User").first.click()
        user.get_by_text("Appearance").first.click()
        user.get_by_text(f"{theme.title()} Mode").first.click()
        expect(root).to_have_attribute("data-theme", theme)
        expect(user.locator("html")).to_have_class(re.compile(rf"\b{theme}\b"))
        user.keyboard.press("Escape")
    frame.get_by_role("link", name="Shop", exact=True).click()
    frame.get_by_role("heading", name="Net revenue by day").or_(frame.locator("#revenue svg")).first.wait_for()
    expect(user).to_have_url(f"{opened.url}/plugin/regulars/regulars/shop")
    frame.get_by_role("link", name="Today", exact=True).click()
    frame.get_by_role("link", name="shop_to_features", exact=True).click()
    user.wait_for_url(f"{opened.url}/dags/shop_to_features/runs/*")


@needs_chromium
def test_a_failed_run_is_told_first_and_leads_to_the_log_that_says_why(user: Page, opened: Opened) -> None:
    dag = f"{opened.url}/api/v2/dags/landing_replay"
    conf = {"entity": "orders", "start": "2025-06-02T00:00:00Z", "end": "2025-06-01T00:00:00Z"}
    made = user.request.post(f"{dag}/dagRuns", data={"logical_date": None, "conf": conf})
    assert made.ok, made.text()
    assert user.request.patch(dag, data={"is_paused": False}).ok
    run, deadline = f"{dag}/dagRuns/{made.json()['dag_run_id']}", time.monotonic() + 120
    while user.request.get(run).json()["state"] != "failed":
        assert time.monotonic() < deadline, user.request.get(run).text()
        user.wait_for_timeout(200)
    user.goto(f"{opened.url}/regulars/today")
    expect(user.get_by_label("Verdict")).to_contain_text("The last run of landing_replay failed at")
    row = user.get_by_role("row").filter(has=user.get_by_role("link", name="landing_replay"))
    row.get_by_role("cell").nth(3).get_by_role("link").first.click()
    expect(user.get_by_text("EmptyWindow").first).to_be_visible(timeout=60_000)


@needs_chromium
def test_the_form_shows_what_would_run_and_airflow_runs_it(user: Page, opened: Opened) -> None:
    user.goto(f"{opened.url}/regulars/today")
    user.get_by_role("link", name="Fill in").first.click()
    user.get_by_label("First day").fill("2025-12-30")
    user.get_by_label("Last day").fill("2025-12-31")
    user.get_by_label("One run for each day").check()
    expect(user.locator("#preview")).to_have_text("Airflow would make 2 of 2 runs.")
    dag_id = user.get_by_label("What is loaded").input_value()
    expect(user.locator("#command")).to_have_text(
        f"airflow backfill create --dag-id {dag_id} --from-date 2025-12-30 --to-date 2025-12-31 --max-active-runs 1"
    )
    user.get_by_label("One run over all of it").check()
    user.get_by_label("Unpause the DAG").uncheck()
    user.get_by_role("button", name="Start").click()
    user.get_by_role("link", name="See the run").click()
    user.wait_for_url(f"{opened.url}/dags/{dag_id}/runs/*")
    run_id = user.url.split("/runs/")[1]
    run = user.request.get(f"{opened.url}/api/v2/dags/{dag_id}/dagRuns/{run_id}").json()
    assert run["conf"] == {"start": "2025-12-30T00:00:00Z", "end": "2026-01-01T00:00:00Z"}


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


@pytest.mark.slow
def test_the_second_run_changes_no_byte_and_says_so(first: Ran, local: Callable, home: Path) -> None:
    second = Ran(local, home)
    assert second.summary["is_repeat"]
    assert second.summary["is_nothing_new"]
    assert second.digests == first.digests
    assert second.history == first.history
    assert "0 rows inserted, 0 updated, nothing was duplicated" in second.ended.stdout
    for table in SHOP_TABLES:
        assert second.summary["entities"][table]["unchanged"] == first.counts[table]


def test_after_the_demo_only_postgres_is_left_and_down_ends_it(first: Ran, local: Callable, home: Path) -> None:
    assert len(first.processes) == 1
    assert first.processes[0][0].endswith("bin/postgres")
    assert re.search(r"stopped .*\bpostgres$", local("down").stdout.strip())
    assert commands_of(home) == []


def test_no_password_stands_in_the_summary(first: Ran, home: Path) -> None:
    password = (home / "postgres" / "password").read_text()
    keys = json.loads((home / "keys.json").read_text())
    for text in ((home / "summary.json").read_text(), first.ended.stdout):
        assert password not in text
        assert not [name for name, secret in keys.items() if secret in text]
