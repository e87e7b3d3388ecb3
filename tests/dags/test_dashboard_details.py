"""The pages about customers, models, features and data, as Airflow's API server serves them from a real warehouse."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.window import Window
from include.features.registry import FEATURE_VIEWS
from include.lineage import note_lineage
from include.models.scores.risks import customers_at_risk, newest_run, segment_risks
from include.warehouse.connection import connect_warehouse
from tests.dags.conftest import logged_in
from tests.integration import judged_shop as made
from tests.integration.feature_shop import DAY, NOW
from tests.integration.registry_stores import sqlite_registry
from tests.own_database import connection, own_database

PERSONAL = ("hidden@example.com", "Hidden", "Person")
FORMULA = 8
"""A customer whose reason looks like a formula of a spreadsheet."""
PATHS = (
    "/customers", "/customers/list.csv", f"/customers/{made.SOMEBODY}", "/models",
    f"/models/report?model_id={made.CHAMPION}", "/models/registry", "/features", "/features/customer_rfm", "/data",
    "/data/shop.orders",
)  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres_server) -> Iterator[str]:
    """A shop with scores, judged models, measured features and a catalogue; read by all tests, written by none."""
    with own_database(postgres_server, "watched_shop") as dsn:
        with connect_warehouse(dsn) as conn:
            made.fill(conn)
            conn.execute(
                """
                INSERT INTO shop.customers VALUES (%s, 'hidden@example.com', 'Hidden', 'Person', 'DE', NULL, true,
                    'test', '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z')
                """,
                (made.SOMEBODY,),
            )
            conn.execute(
                """
                UPDATE ml.customer_scores SET reasons = '[{"feature": "f", "value": 1, "effect": 1, "text": "=1+1"}]'
                WHERE customer_id = %s
                """,
                (FORMULA,),
            )
            note_lineage(conn, now=NOW)
            window = Window(made.SNAPSHOT - DAY, made.SNAPSHOT)
            refresh(conn, MARTS["data_inventory"], window=window, until=made.SNAPSHOT, now=NOW)
            conn.commit()
        yield dsn


@pytest.fixture
def stranger(anonymous: TestClient, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TestClient:
    """Somebody who did not log in; the API server reads the filled shop, and there is no model registry yet."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection(database))
    monkeypatch.setenv("REGULARS_STORAGE", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return anonymous


@pytest.fixture
def user(stranger: TestClient) -> TestClient:
    """The same, logged in."""
    return logged_in(stranger, role="viewer")


@pytest.fixture
def page(user: TestClient) -> Any:
    """Get a page of the filled shop as the words on it; `status` is asserted."""
    return lambda path, status=200: words_of(user.get(f"/regulars{path}"), status)


@pytest.fixture
def empty_page(user: TestClient, warehouse_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same of a warehouse with its migrations and nothing else."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", connection(warehouse_dsn))
    return lambda path, status=200: words_of(user.get(f"/regulars{path}"), status)


def words_of(answer: Any, status: int) -> str:
    """What is to be read on a page, without tags; scripts are data and stay out."""
    assert answer.status_code == status, answer.text
    text = re.sub(r"<script.*?</script>|<title>.*?</title>", " ", answer.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


@pytest.mark.parametrize("path", PATHS)
def test_nobody_sees_a_page_without_logging_in(stranger, path):
    answer = stranger.get(f"/regulars{path}")
    assert answer.status_code == 401
    assert made.CHAMPION not in answer.text and "Teapot" not in answer.text


@pytest.mark.parametrize("path", [path for path in PATHS if "csv" not in path and "report?" not in path])
def test_a_page_carries_the_words_of_each_of_its_charts(user, path):
    text = user.get(f"/regulars{path}").text
    charts = re.findall(r'<figure class="chart".*?</figure>', text, flags=re.DOTALL)
    assert len(charts) == text.count('class="plot"')
    for chart in charts:
        caption = re.search(r'-caption">(.*?)</span>', chart, flags=re.DOTALL)
        assert caption and len(caption[1]) > 20
        spec = json.loads(re.search(r'<script type="application/json">(.*?)</script>', chart, flags=re.DOTALL)[1])
        assert spec["data"]["values"] and spec["description"]
        assert "<tbody>" in chart


def test_customers_tell_who_is_about_to_leave_by_segment(page, database):
    told = page("/customers")
    with connect_warehouse(database) as conn:
        run = newest_run(conn)
        assert run is not None
        segments = segment_risks(conn, run)
        first = next(customers_at_risk(conn, run, limit=1))
    assert f"{len(made.EVERYBODY)} customers" in told
    for each in segments:
        assert f"{each.segment} {each.customer_count} {each.mean_probability * 100:.1f} %" in told
    assert re.search(rf"{first.customer_id} {first.segment} {first.churn_probability * 100:.1f} %", told)
    assert "Whether it is true" in told and "There is no report" not in told


def test_a_list_keeps_to_the_segment_and_the_tenth_that_were_chosen(page, database):
    with connect_warehouse(database) as conn:
        run = newest_run(conn)
        assert run is not None
        segment = segment_risks(conn, run)[0].segment
        wanted = [each.customer_id for each in customers_at_risk(conn, run, segment=segment, least_decile=6, limit=25)]
    told = page(f"/customers?segment={segment}&decile=6").partition("What moved it most")[2]
    assert [int(number) for number in re.findall(rf"(\d+) {segment} ", told)] == wanted
    assert "No customer is in this list." in page("/customers?segment=nobody")
    page("/customers?decile=11", 400)


def test_the_exported_list_has_everybody_and_neither_e_mail_nor_name(user, database):
    answer = user.get("/regulars/customers/list.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "customers-at-risk-2024-03-05.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(int(row["customer_id"]) for row in rows) == made.EVERYBODY
    with connect_warehouse(database) as conn:
        run = newest_run(conn)
        assert run is not None
        risks = list(customers_at_risk(conn, run, limit=1000))
    assert [float(row["churn_probability"]) for row in rows] == [each.churn_probability for each in risks]
    assert [float(row["value_times_probability_amount"]) for row in rows] == [each.weighed_amount for each in risks]
    assert not any(word in answer.text for word in PERSONAL)
    assert len(user.get("/regulars/customers/list.csv?limit=3").text.splitlines()) == 1 + 3
    assert user.get("/regulars/customers/list.csv?segment=nobody").text.count("\r\n") == 1
    assert user.get("/regulars/customers/list.csv?limit=100001").status_code == 400


def test_a_text_that_looks_like_a_formula_is_exported_as_text(user):
    rows = csv.DictReader(io.StringIO(user.get("/regulars/customers/list.csv").text))
    assert [row["reason"] for row in rows if row["customer_id"] == str(FORMULA)] == ["'=1+1"]


def test_a_customer_s_page_tells_scores_reasons_features_orders_and_recommendations(page):
    told = page(f"/customers/{made.SOMEBODY}")
    assert not any(word in told for word in PERSONAL)
    assert "towards leaving last purchase 143 days ago; typical is 30" in told
    assert "towards staying paid orders ever: 2 orders; typical is 5" in told
    assert f"frequency paid orders ever {len(made.OWN)} orders" in told
    assert f"{sum(order.amount for order in made.OWN) - made.REFUND:,.0f} GBP" in told
    assert all(f" {order.order_id} {order.paid_at:%Y-%m-%d}" in told for order in made.OWN)
    assert f"{made.REFUND} GBP" in told
    assert "Teapot 2 (bought before) Teapot 3 (liked by customers like them)" in told
    drawn = page(f"/customers/{made.SOMEBODY}?feature=monetary_amount")
    assert "monetary_amount over time Paid ever, less refunds" in drawn
    assert "has no rows of this customer" in page(f"/customers/{made.SOMEBODY}?view=customer_activity")


@pytest.mark.parametrize(
    ("customer", "status", "says"),
    [
        ("999999", 404, "Nobody here knows customer 999999."),
        (str(made.WITHOUT_SCORE), 200, "This customer was never scored."),
        ("seventeen", 400, "'seventeen' is no customer id. Write its number"),
        ("", 400, "is no customer id"),
        ("9" * 19, 400, "is no customer id"),
        ("<script>alert(1)</script>", 400, "'<script>alert(1)</script>' is no customer id"),
    ],
)
def test_a_customer_who_is_not_there_is_told_from_a_question_that_is_none(page, customer, status, says):
    assert says in page(f"/customers/find?customer_id={customer}", status)


def test_models_tell_the_champion_its_rivals_and_why_others_were_refused(page):
    told = page("/models")
    assert f"{made.CHAMPION} , version 1" in told
    assert "AUC 0.8500 BG/NBD 0.8000 recency only 0.7500 RFM sum 0.7000" in told
    assert re.search(r"too-weak 2 refused .* 0\.6500 .* as the gate decided", told)
    assert "it beats all" in told
    assert "Brier score of each model" in page("/models?metric=brier")
    assert "There is no metric 'nonsense'" in page("/models?metric=nonsense", 400)


def test_models_tell_what_drifted_and_what_came(page):
    told = page("/models")
    assert "1 figure is beyond the threshold at 2024-03-05" in told
    assert "frequency distance from training 0.400 – 0.250 300" in told
    assert "The newest is of 2024-03-05: 0.8400, on the test rows 0.8500." in told
    assert "best is blend with 0.4000" in told


def test_the_report_on_a_model_is_shown_as_it_was_written(user, page):
    assert user.get(f"/regulars/models/report?model_id={made.CHAMPION}").text == "<html>the report</html>"
    assert "There is no report on 'nobody'" in page("/models/report?model_id=nobody", 404)


@pytest.fixture
def registry_of_its_own(monkeypatch):
    """The page's registry, forgotten before and after: it keeps its answer for a while."""
    from dashboard.pages import models
    from dashboard.registry_answer import AskedRegistry

    monkeypatch.setattr(models, "registry", AskedRegistry(patience=60))


def test_what_the_registry_says_stands_beside_the_warehouse(page, registry_of_its_own, tmp_path):
    registry = sqlite_registry(tmp_path / "models")
    for model_id in (made.CHAMPION, "elsewhere"):
        kept = registry.register("churn", 1, model_id=model_id, parameters={}, metrics={}, tags={}, card="of tests")
    registry.set_alias("churn", kept.version, reason="of tests")
    told = page("/models/registry")
    assert "2 champion elsewhere not in this warehouse" in told
    assert f"1 – {made.CHAMPION} champion the next run of churn_model notes what the registry says" in told


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"MLFLOW_TRACKING_URI": "http://somebody:hidden@127.0.0.1:1"}, "Nobody answers at MLFLOW_TRACKING_URI."),
        (
            {"MLFLOW_TRACKING_URI": "postgresql://somebody:hidden@127.0.0.1:1/mlflow"},
            "It did not answer as it should.",
        ),
        ({"REGULARS_STORAGE": ""}, "The API server does not know where it is."),
        ({}, "No churn model was registered yet."),
    ],
)
def test_a_registry_that_gives_no_answer_is_told_apart_and_no_secret_with_it(
    page, registry_of_its_own, monkeypatch, tmp_path, environment, says
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told = page("/models/registry")
    assert says in told
    assert "hidden" not in told and "somebody" not in told
    assert not (tmp_path / "models").exists()
    assert made.CHAMPION in page("/models")


def test_a_view_tells_its_definition_and_what_its_features_looked_like(page):
    told = page("/features/customer_rfm")
    for feature in FEATURE_VIEWS["customer_rfm"].features:
        assert f"{feature.name} {feature.description} {feature.type} {feature.unit}" in told
    counts = [sum(o.customer_id == c and o.paid_at < made.SNAPSHOT for o in made.ORDERS) for c in made.EVERYBODY]
    mean = sum(counts) / len(counts)
    found = re.search(r"frequency paid orders ever integer orders 0\.0 % (\d+) (\d+) \d+ ([\d.]+) \d+ (\d+)", told)
    assert found and found.groups() == (str(len(set(counts))), str(min(counts)), f"{mean:.2f}", str(max(counts)))
    assert "rows of a snapshot: at least 1, no more than 20 % fewer than the snapshot before" in told
    assert "FROM" in told
    assert "frequency: how it lies" in page("/features/customer_rfm?feature=frequency")
    assert "It has no numbers to draw." in page("/features/customer_rfm?feature=segment")
    assert "Its rows were not measured yet." in page("/features/customer_activity")
    assert "There is no feature view 'nonsense'" in page("/features/nonsense", 404)


def test_a_store_that_was_left_long_ago_is_shown_up_to_its_newest_snapshot(page):
    told = page("/features")
    assert "Nothing was built after 2024-03-05." in told
    assert re.search(r"customer_rfm version 1 .*? built 37 missing 23 ", told)
    today = datetime.now(UTC)
    asked = page(f"/features?end={today:%Y-%m-%d}")
    assert "Nothing was built after" not in asked
    assert re.search(r"customer_rfm version 1 .*? built 0 missing 60 ", asked)


def test_the_catalogue_tells_every_table_with_its_lineage(user, page, database):
    told = page("/data")
    with psycopg.connect(database) as conn:
        names = conn.execute(
            "SELECT schema_name, table_name, description FROM analytics.data_inventory WHERE column_name = ''"
        ).fetchall()
    assert len(names) > 50
    assert all(f"{name} " in told and (not words or " ".join(words.split()) in told) for _, name, words in names)
    text = user.get("/regulars/data").text
    assert 'data-from="shop.orders" data-to="features.customer_rfm"' in text
    assert '<a href="/regulars/data/ml.customer_scores" data-name="ml.customer_scores"' in text


def test_a_table_s_page_tells_its_columns_and_what_is_made_of_it(user, page):
    told = page("/data/shop.orders")
    assert "One row per order in its newest known version." in told
    assert "order_id key Number of the order in the shop" in told
    assert "connection shop_api by upsert_orders" in told
    assert "analytics.sales_daily by refresh_sales_daily" in told
    assert (
        'data-name="shop.orders" aria-label="shop.orders" aria-current="true"'
        in user.get("/regulars/data/shop.orders").text
    )
    assert "The catalogue has no table 'shop.nothing'" in page("/data/shop.nothing", 404)


def test_a_search_finds_tables_by_words_of_their_columns(page):
    told = page("/data?search=refund+positive")
    assert "shop.refunds" in told.replace("refunds ", "shop.refunds ") and "weather_daily" not in told
    assert "No table has all of these words." in page("/data?search=perpetuum+mobile")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/customers", 200, "Nobody was scored yet."),
        ("/customers/list.csv", 404, "Nobody was scored yet"),
        ("/customers/1", 404, "Nobody here knows customer 1."),
        ("/models", 200, "No churn model was trained yet."),
        ("/features", 200, "A build over this window would take 60 snapshots for the first time."),
        ("/features/customer_rfm", 200, "Its rows were not measured yet."),
        ("/data", 200, "The catalogue was not made yet."),
        ("/data/shop.orders", 404, "The catalogue has no table 'shop.orders'."),
    ],
)
def test_an_empty_warehouse_is_told_what_to_do(empty_page, path, status, says):
    told = empty_page(path, status)
    assert says in told
    assert "DAG" in told or "features" in path or path == "/customers/1"
