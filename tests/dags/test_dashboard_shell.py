"""What all pages share: who may see them, where they load from, and what they say when something is wrong."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys

import psycopg
import pytest
from dashboard import shell, vega
from dashboard.app import app
from dashboard.charts import Chart
from dashboard.static_files import FOLDER

from tests.dags.conftest import ROOT, logged_in

PAGES = ("today", "shop", "customers", "models", "features", "data")
PATHS = [f"/regulars/{name}" for name in PAGES] + ["/regulars/today/fill"]
STATIC = [f"/regulars/static/{file.name}" for file in sorted(FOLDER.iterdir())] + [f"/regulars/static/{vega.NAME}"]


def routes() -> list[str]:
    """Every path of the application, with something in the place of its parameters."""
    return sorted({"/regulars" + re.sub(r"\{[^}]*\}", "1", route.path) for route in app.routes})


def test_the_navigation_leads_to_the_six_pages_in_order():
    assert tuple(page.name for page in app.state.pages) == PAGES


@pytest.mark.parametrize("path", [*routes(), *STATIC])
def test_nobody_gets_anything_without_logging_in(stranger, path):
    answer = stranger.get(path, follow_redirects=False)
    assert answer.status_code == 401
    assert "Log in to Airflow" in answer.text and "/regulars/" not in answer.text
    answer = stranger.get(path, headers={"Accept": "application/json"}, follow_redirects=False)
    assert answer.status_code == 401 and answer.json()["title"] == "Not logged in"


def test_a_user_without_the_permission_is_refused(stranger):
    for path in (*PATHS, *STATIC):
        assert logged_in(stranger, role=None).get(path).status_code == 403, path
    assert logged_in(stranger, role="viewer").get("/regulars/shop").status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_an_empty_warehouse_gives_a_page_that_says_what_to_do_and_loads_from_this_server_alone(admin, path):
    answer = admin.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.text.count("<h1") == 1
    assert answer.text.count('aria-current="page"') == 1
    if path not in {"/regulars/today/fill", "/regulars/features", "/regulars/data"}:
        assert 'class="empty"' in answer.text
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="([^"]*)"', answer.text)
    assert loaded and all(address.startswith("/regulars/static/") for address in loaded)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_static_file_may_be_kept_for_good_under_an_address_that_changes_with_it(admin):
    page = admin.get("/regulars/today").text
    for address in re.findall(r'"(/regulars/static/[^"]+)"', page):
        assert re.fullmatch(r"/regulars/static/[\w.-]+\?v=[\w.]+", address)
        answer = admin.get(address)
        assert answer.status_code == 200 and "immutable" in answer.headers["Cache-Control"]
    for outside in ("nothing.js", "..%2fapp.py", "%2e%2e/app.py"):
        assert admin.get(f"/regulars/static/{outside}").status_code == 404


def test_the_first_address_leads_to_today_and_an_unknown_one_is_told_in_words(admin):
    assert admin.get("/regulars/").url.path == "/regulars/today"
    answer = admin.get("/regulars/nowhere")
    assert answer.status_code == 404 and "Choose one from the navigation" in answer.text


@pytest.mark.parametrize("path", [f"/regulars/{name}" for name in PAGES])
def test_without_a_warehouse_a_page_says_so_and_tells_no_secret(admin, monkeypatch, path):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://somebody:hidden@127.0.0.1:1/nowhere")
    answer = admin.get(path)
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "hidden" not in answer.text and "somebody" not in answer.text


def test_without_the_connection_a_page_says_how_to_make_it(admin, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_WAREHOUSE")
    answer = admin.get("/regulars/shop")
    assert answer.status_code == 503 and "Add the connection" in answer.text


def test_a_warehouse_with_older_tables_is_told_apart_from_a_broken_one(admin, warehouse):
    warehouse.execute("DROP SCHEMA analytics CASCADE")
    warehouse.commit()
    answer = admin.get("/regulars/shop")
    assert answer.status_code == 503 and "python -m include.warehouse" in answer.text


def test_a_question_that_takes_too_long_is_given_up(admin, warehouse_dsn, monkeypatch):
    monkeypatch.setattr(shell, "LONGEST_STATEMENT", "100ms")
    with psycopg.connect(warehouse_dsn) as other:
        other.execute("LOCK TABLE analytics.revenue_daily")
        answer = admin.get("/regulars/shop")
    assert answer.status_code == 503 and "took too long" in answer.text


def test_what_stands_in_the_data_cannot_end_the_script_it_stands_in():
    rows = [{"name": "</script><script>alert(1)</script><!-- & -->"}]
    chart = Chart(name="n", title="t", caption="c", columns={"name": "Name"}, rows=rows, spec={"mark": "bar"})
    assert not set("<>&") & set(str(chart.as_json))
    assert json.loads(chart.as_json)["data"]["values"] == rows


def test_vega_is_made_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    made = vega.javascript()
    assert all(name in made for name in (b"window.vegaEmbed=", b"window.vega=", b"window.vegaLite="))
    assert [file.read_bytes() for file in vega.kept_file().parent.iterdir()] == [made]
    monkeypatch.setattr(vega, "_PROGRAM", "raise SystemExit('made again')")
    assert vega.javascript() == made


def test_the_pages_do_not_import_mlflow_before_the_registry_is_asked():
    """Every module of the platform that a page imports as it is imported itself, in a process of its own."""
    wanted: set[str] = set()
    for file in (ROOT / "plugins" / "dashboard").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.partition(".")[0] == "mlflow" for name in names), file
            wanted |= {name for name in names if name.partition(".")[0] == "include"}
    program = f"import sys, {', '.join(sorted(wanted))}; print('mlflow' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "include.models.standing" in wanted
    assert ended.stdout.strip() == "False"
