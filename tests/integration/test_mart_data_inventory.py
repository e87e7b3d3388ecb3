"""The catalogue: every table and column described, with its unit, rows, freshness, checks and lineage."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from psycopg import Connection

from include.analytics.refresh import refresh
from include.analytics.registry import MARTS
from include.entities.entity import Expectation
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.versions import current_version
from include.features.registry import FEATURE_VIEWS
from include.features.upkeep.statistics import failed_expectations
from include.ingestion.quality import QualityResult, keep_results
from include.lineage import lineage, note_lineage
from include.models.steps import MODEL_STEPS
from include.sources.factory import SOURCES
from include.warehouse.connection import connect_warehouse
from include.warehouse.receipts import Receipt, write_receipt
from tests.integration.feature_shop import day, load, random_facts, write_load_receipt
from tests.own_database import own_database

NOW = datetime(2025, 1, 1, tzinfo=UTC)
WINDOW = Window(day("2024-01-01"), day("2024-03-01"))
MODELS_FOLDER = Path(__file__).resolve().parents[2] / "include" / "models"
SQL_OF_MODELS = MODELS_FOLDER.parent / "sql" / "models"


@pytest.fixture
def catalogue(warehouse: Connection) -> Connection:
    """A warehouse whose lineage has been noted."""
    note_lineage(warehouse, now=NOW)
    return warehouse


@pytest.fixture
def unsaved(empty_shop: Connection) -> Connection:
    """The same for tests that never commit."""
    empty_shop.execute("SELECT 1")  # A transaction is open from here on: what follows is part of it.
    note_lineage(empty_shop, now=NOW)
    return empty_shop


@pytest.fixture(scope="module")
def empty(postgres_server) -> Iterator[Connection]:
    """One for the tests that only read: nothing was loaded, lineage has been noted."""
    with own_database(postgres_server, "empty_catalogue") as dsn, connect_warehouse(dsn) as conn:
        note_lineage(conn, now=NOW)
        yield conn


@pytest.fixture(scope="module")
def told(empty) -> dict[tuple[str, str], dict]:
    """The catalogue of that warehouse."""
    return take(empty)


def take(conn: Connection, *, now: datetime = NOW) -> dict[tuple[str, str], dict]:
    """The catalogue, made anew: (table with schema, column or '') to its row."""
    refresh(conn, MARTS["data_inventory"], window=WINDOW, until=WINDOW.end, now=now)
    cursor = conn.execute("SELECT * FROM analytics.data_inventory")
    names = [column.name for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    return {(f"{row['schema_name']}.{row['table_name']}", row["column_name"]): row for row in rows}


def test_every_table_and_every_column_of_the_warehouse_is_described(told):
    bare = sorted(".".join(filter(None, name)) for name, row in told.items() if not (row["description"] or "").strip())
    assert bare == [], "write a COMMENT for each in the migration that makes it"


def test_every_number_has_a_unit(told):
    numbers = re.compile(r"smallint|integer|bigint|numeric|double precision|real")
    bare = sorted(".".join(name) for name, row in told.items() if numbers.match(row["data_type"]) and not row["unit"])
    assert bare == [], "say the unit in the column's name, or in parentheses in its COMMENT"


def test_it_lists_what_the_information_schema_lists(empty, told):
    columns = empty.execute(
        """
        SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns
        WHERE table_schema NOT IN ('information_schema', 'pg_catalog')
        """
    ).fetchall()
    tables = {(table, "") for table, _ in columns}
    assert set(told) == {*columns, *tables}


def test_every_table_has_an_owner_and_a_feature_view_names_its_own(told):
    assert [name for (name, column), row in told.items() if not column and not row["owner"]] == []
    for view in FEATURE_VIEWS.values():
        assert told[(f"features.{view}_v1_online", "")]["owner"] == view.owner


def test_the_unit_of_a_feature_is_that_of_its_definition(told):
    for view in FEATURE_VIEWS.values():
        for table in (f"features.{view}", f"features.{view}_v1", f"features.{view}_v1_online"):
            assert {each.name: told[(table, each.name)]["unit"] for each in view.features} == {
                each.name: each.unit for each in view.features
            }


def test_units_are_told_by_names_types_and_descriptions(told):
    assert told[("shop.orders", "paid_at")]["unit"] == "instant, UTC"
    assert told[("shop.orders", "tax_amount")]["unit"] == "currency of the order"
    assert told[("analytics.sales_daily", "gross_amount")]["unit"] == "currency of the row"
    assert told[("signals.weather_daily", "precipitation_mm")]["unit"] == "millimetres of water"
    assert told[("ops.receipts", "seconds")]["unit"] == "seconds"
    assert told[("shop.orders", "status")]["unit"] is None


def test_loads_are_counted_by_their_receipts_and_marts_by_their_states(catalogue):
    load(catalogue, random_facts(3, start=WINDOW.start, days=60, count=90))
    refresh(catalogue, MARTS["sales_daily"], window=WINDOW, until=WINDOW.end, now=NOW)
    told = take(catalogue)
    orders = told[("shop.orders", "")]
    assert orders["row_count"] == count(catalogue, "shop.orders") > 0
    assert (orders["row_count_from"], orders["newest_from"]) == ("receipts", "receipts")
    assert (orders["newest_at"], orders["data_until"]) == (day("2030-01-01"), day("2100-01-01"))
    sales = told[("analytics.sales_daily", "")]
    assert sales["row_count"] == count(catalogue, "analytics.sales_daily") > 0
    assert (sales["row_count_from"], sales["newest_at"], sales["data_until"]) == ("mart_states", NOW, WINDOW.end)


def test_a_pushed_fact_counts_as_a_row_and_says_nothing_of_a_whole_window(unsaved):
    write_load_receipt(unsaved, "orders", oldest=WINDOW.start, rows=3, window=WINDOW)
    pushed = Window(WINDOW.end, WINDOW.end + timedelta(microseconds=1))
    write_receipt(unsaved, Receipt(step="push", entity="orders", window=pushed, received=1, inserted=1), now=NOW)
    orders = take(unsaved)[("shop.orders", "")]
    assert (orders["row_count"], orders["data_until"]) == (4, WINDOW.end)


def test_other_tables_are_counted_by_the_planner_and_dated_by_their_newest_row(catalogue):
    assert take(catalogue)[("shop.order_lines", "")]["row_count"] is None
    load(catalogue, random_facts(3, start=WINDOW.start, days=60, count=90))
    catalogue.execute("ANALYZE shop.order_lines")
    told = take(catalogue)
    lines, receipts = told[("shop.order_lines", "")], told[("ops.receipts", "")]
    assert (lines["row_count"], lines["row_count_from"]) == (count(catalogue, "shop.order_lines"), "estimate")
    assert (receipts["newest_at"], receipts["newest_from"]) == (day("2030-01-01"), "written_at")


def test_the_catalogue_tells_of_itself_as_it_comes_out(unsaved):
    for _ in range(2):
        row = take(unsaved)[("analytics.data_inventory", "")]
        assert row["row_count"] == count(unsaved, "analytics.data_inventory")


def test_feature_tables_are_as_new_as_their_last_build_and_reach_to_their_newest_snapshot(catalogue):
    load(catalogue, random_facts(3, start=WINDOW.start, days=20, count=60))
    build_view(catalogue, FEATURE_VIEWS["customer_rfm"], Window(day("2024-01-10"), day("2024-01-12")), now=NOW)
    told = take(catalogue)
    for table in ("features.customer_rfm_v1", "features.customer_rfm"):
        row = told[(table, "")]
        assert (row["newest_at"], row["newest_from"], row["data_until"]) == (NOW, "view_versions", day("2024-01-12"))
    assert told[("features.customer_rfm_v1_online", "")]["newest_at"] is None


def test_the_results_of_the_newest_batch_count_for_the_table_and_for_the_column(unsaved):
    good = Expectation("ExpectColumnValuesToNotBeNull", {"column": "order_id"})
    bad = Expectation("ExpectColumnValuesToBeBetween", {"column": "total_amount", "min_value": 0}, "warning")

    def result(expectation: Expectation, *, failed: int) -> QualityResult:
        return QualityResult(
            entity="orders", expectation=expectation, is_success=failed == 0, row_count=10, failed_count=failed
        )

    for hour, outcomes in enumerate([(good, 1), (bad, 0)], start=1):
        keep_results(
            unsaved, [result(good, failed=outcomes[1]), result(bad, failed=3)], batch=str(hour), window=WINDOW,
            now=NOW + timedelta(hours=hour),
        )  # fmt: skip
    told = take(unsaved)
    table, column = told[("shop.orders", "")], told[("shop.orders", "total_amount")]
    assert (table["check_count"], table["failed_check_count"]) == (2, 1)
    assert table["checked_at"] == NOW + timedelta(hours=2)
    assert table["failed_checks"] == column["failed_checks"]
    assert table["failed_checks"][0].endswith("3 of 10 rows fail")
    assert told[("shop.orders", "order_id")]["failed_check_count"] == 0


def test_what_is_expected_of_a_feature_view_counts_as_its_newest_snapshot_has_it(catalogue):
    load(catalogue, random_facts(3, start=WINDOW.start, days=20, count=60))
    build_view(catalogue, FEATURE_VIEWS["customer_rfm"], Window(day("2024-01-10"), day("2024-01-12")), now=NOW)
    view = FEATURE_VIEWS["customer_rfm"]
    version = current_version(catalogue, view)
    catalogue.execute("UPDATE features.customer_rfm_v1 SET frequency = 0 WHERE event_time = '2024-01-12Z'")
    assert len(failed_expectations(catalogue, version, now=NOW)) == 1
    told = take(catalogue)
    table, column = told[("features.customer_rfm_v1", "")], told[("features.customer_rfm_v1", "frequency")]
    assert (table["check_count"], table["failed_check_count"]) == (len(view.expectations), 1)
    assert (column["check_count"], column["failed_check_count"]) == (1, 1)
    assert column["failed_checks"] == ["frequency is 1 or more, and the least is 0"]
    assert told[("features.customer_rfm_v1", "segment")]["failed_check_count"] == 0


def test_rows_in_quarantine_are_counted_until_they_are_dealt_with(unsaved):
    unsaved.execute(
        """
        INSERT INTO quarantine.rejected_rows (
            entity, rule_id, payload_digest, row_digest, occurrence, reason, payload, landing_file, landing_position,
            source, window_start, window_end, rejected_at, last_rejected_at, batch, resolved_at, resolution
        )
        SELECT
            'orders', 'rule', gen_random_uuid(), gen_random_uuid(), 1, '', '', '', '', '', now(), now(), now(), now(),
            '', CASE WHEN number = 1 THEN now() END, CASE WHEN number = 1 THEN 'loaded' END
        FROM generate_series(1, 3) AS number
        """
    )
    assert take(unsaved)[("shop.orders", "")]["open_rejected_count"] == 2


def test_lineage_leads_from_the_shop_over_features_and_models_to_scores_and_marts(told):
    way = ["connection shop_api", "shop.orders", "features.customer_rfm_v1", "ml.training_sets", "ml.models",
           "ml.evaluations"]  # fmt: skip
    for upstream, downstream in pairwise(way):
        assert upstream in told[(downstream, "")]["upstream"]
        if not upstream.startswith("connection "):
            assert downstream in told[(upstream, "")]["downstream"]
    assert set(told[("analytics.sales_daily", "")]["upstream"]) == set(MARTS["sales_daily"].inputs)
    assert told[("shop.product_versions", "")]["upstream"] == ["shop.products"]
    assert "shop.order_lines" in told[("ml.recommendable_products", "")]["upstream"]


def test_everything_that_lineage_names_is_there_and_whatever_is_loaded_or_learnt_has_an_origin(empty, told):
    edges = lineage(empty)
    tables = {name for name, column in told if not column}
    connections = {f"connection {connection}" for connection, _ in SOURCES.values()}
    assert {end for edge in edges for end in (edge.upstream, edge.downstream)} <= tables | connections
    made = {edge.downstream for edge in edges}
    derived = {name for name in tables if name.split(".")[0] in {"shop", "signals", "ml"}}
    derived |= {f"features.{view}_v1" for view in FEATURE_VIEWS} | {f"analytics.{name}" for name in MARTS}
    assert derived - made == set()
    assert {entity.table for entity in ENTITIES.values()} <= made


def test_what_is_no_longer_so_goes_from_lineage_and_the_rest_keeps_its_time(unsaved):
    before = dict(unsaved.execute("SELECT (upstream, downstream), noted_at FROM analytics.lineage").fetchall())
    unsaved.execute("DELETE FROM analytics.lineage WHERE downstream = 'ml.models'")
    unsaved.execute("INSERT INTO analytics.lineage VALUES ('shop.gone', 'ml.models', 'nobody', now())")
    note_lineage(unsaved, now=NOW + timedelta(days=1))
    after = dict(unsaved.execute("SELECT (upstream, downstream), noted_at FROM analytics.lineage").fetchall())
    assert set(after) == set(before)
    assert {noted_at for edge, noted_at in after.items() if edge[1] == "ml.models"} == {NOW + timedelta(days=1)}
    assert {noted_at for edge, noted_at in after.items() if edge[1] != "ml.models"} == {NOW}


@pytest.mark.parametrize("step", MODEL_STEPS, ids=lambda step: f"{step.name}-{step.writes[0]}")
def test_a_step_of_a_model_names_tables_that_its_code_and_sql_speak_of(step):
    spoken = {table for module in step.modules for table in tables_spoken_of(module)}
    assert {*step.reads, *step.writes} - spoken == set()


def test_no_table_that_the_models_write_is_missing_from_their_steps(empty):
    named = {table for step in MODEL_STEPS for table in step.writes}
    there = empty.execute("SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = 'ml'")
    assert {table for (table,) in there} == named


@pytest.mark.parametrize("module", sorted({module for step in MODEL_STEPS for module in step.modules}))
def test_no_table_of_facts_that_a_model_reads_is_missing_from_its_steps(module):
    named = {table for step in MODEL_STEPS if module in step.modules for table in (*step.reads, *step.writes)}
    spoken = {table for table in tables_spoken_of(module) if table.split(".")[0] in {"shop", "signals"}}
    assert spoken - named == set()


def tables_spoken_of(module: str) -> set[str]:
    """Tables named in the texts of a module's code (not its docstrings), and in the SQL files that these name."""
    tree = ast.parse((MODELS_FOLDER / f"{module.replace('.', '/')}.py").read_text())
    found = set()
    for text in _texts(tree):
        if text.endswith(".sql"):
            text = (SQL_OF_MODELS / text).read_text()
        found |= set(re.findall(r"\b(?:shop|signals|ml)\.[a-z_]+\b", text))
        found.add(f"ml.{text}")
    return found


def _texts(tree: ast.AST) -> Iterator[str]:
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def count(conn: Connection, table: str) -> int:
    return conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
