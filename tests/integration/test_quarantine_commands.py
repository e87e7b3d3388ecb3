"""Working with quarantine from the command line, against a real sandbox and a real warehouse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from include.entities.window import Window
from include.ingestion.__main__ import main
from include.ingestion.daily_summary import summarize
from include.ingestion.errors import RequiredFieldVanished, TooManyRejected
from include.ingestion.landing import Landing
from tests.integration.ingestion_shop import NOW, contents, ingest, source_of
from tests.integration.sandbox_process import sandbox
from tests.own_database import connection

WINDOW = Window(datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
NEXT = Window(WINDOW.end, WINDOW.end + timedelta(days=30))
ORDERS = "/wp-json/wc/v3/orders"


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=150, seed=7) as running:
        yield running


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(tmp_path / "landing")


@pytest.fixture
def environment(landing, warehouse_dsn) -> dict[str, str]:
    return {"AIRFLOW_CONN_WAREHOUSE": connection(warehouse_dsn), "REGULARS_LANDING": str(landing.root)}


def load_with(box, conn, landing, *faults: dict, entity: str = "orders", window: Window = WINDOW) -> None:
    for fault in faults:
        box.add_fault(**{"path": ORDERS, "times": 1, **fault})
    try:
        ingest(conn, source_of(box, entity), window, landing=landing)
    finally:
        box.clear_faults()
    conn.commit()


def test_list_tells_what_is_held_back_and_shows_rows_with_where_they_lie(box, warehouse, landing, environment, capsys):
    assert main(["quarantine", "list"], environment) == 0
    assert capsys.readouterr().out == "quarantine: empty\n"
    load_with(box, warehouse, landing, {"kind": "malformed_rows", "rows": 2, "field": "total"})
    assert main(["quarantine", "list"], environment) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split()[:4] == ["ENTITY", "RULE", "OPEN", "RESOLVED"]
    (orders,) = [line for line in told if line.startswith("orders ")]
    assert orders.split()[:6] == ["orders", "shape", "2", "0", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"]
    assert "$.total" in orders
    assert main(["quarantine", "list", "--entity", "orders", "--rule", "shape", "--rows", "1"], environment) == 0
    shown = capsys.readouterr().out
    (batch,) = landing.batches()
    assert shown.count(f"landing {batch}/page-0000") == 1 and "position" in shown and '"total"' in shown
    assert "@" not in shown
    assert main(["quarantine", "list", "--end", "2025-05-01"], environment) == 0
    assert capsys.readouterr().out == "quarantine: empty\n"


def test_replay_loads_what_a_mended_reader_lets_in_and_says_so(
    box, warehouse, landing, environment, capsys, monkeypatch
):
    """The shop writes some totals as objects; a reader that does not look at totals has no trouble with them."""
    load_with(box, warehouse, landing, {"kind": "malformed_rows", "rows": 2, "field": "total_tax"})
    lost = warehouse.execute("SELECT count(*) FROM quarantine.rejected_rows WHERE entity = 'orders'").fetchone()
    assert lost == (2,)
    warehouse.commit()
    assert main(["quarantine", "replay"], environment) == 1
    assert "loaded=0 superseded=0 failing=" in capsys.readouterr().out

    import msgspec

    from include.sources import woocommerce_parents

    real = woocommerce_parents.decode_row

    def forgiving(raw: bytes, decoder: msgspec.json.Decoder):
        row = msgspec.json.decode(raw)
        if isinstance(row, dict) and isinstance(row.get("total_tax"), dict):
            row["total_tax"] = "0.00"
        return real(msgspec.json.encode(row), decoder)

    monkeypatch.setattr(woocommerce_parents, "decode_row", forgiving)
    chosen = ["--entity", "orders", "--rule", "shape", "--start", "2025-06-01", "--end", "2025-07-01"]
    assert main(["quarantine", "replay", *chosen], environment) == 0
    told = capsys.readouterr().out
    assert "quarantine_replay entity=orders source=shop_api window=2025-06-01/2025-07-01" in told
    assert "superseded=0 failing=0 lost=0" in told and "upsert_orders window=2025-06-01/2025-07-01 received=2" in told
    keys = {key for (key,) in warehouse.execute("SELECT order_id FROM shop.orders")}
    warehouse.commit()
    assert len(keys) == landing.manifest(next(landing.batches())).rows
    assert main(["quarantine", "replay"], environment) == 0
    assert capsys.readouterr().out == "quarantine_replay: nothing is open\n"


def test_a_wrong_argument_is_told_and_nothing_is_done(environment, capsys):
    assert main(["quarantine", "replay", "--start", "2025-06-02", "--end", "2025-06-01"], environment) == 2
    with pytest.raises(SystemExit) as ended:
        main(["quarantine", "replay", "--entity", "invoices"], environment)
    assert ended.value.code == 2
    assert main(["quarantine", "list"], {}) == 2
    assert "AIRFLOW_CONN_WAREHOUSE" in capsys.readouterr().err


def test_the_summary_tells_rows_reasons_and_changes_each_once_however_often_it_ran(
    box, warehouse, landing, environment, capsys
):
    load_with(box, warehouse, landing)
    load_with(box, warehouse, landing, {"kind": "malformed_rows", "rows": 2, "field": "total"}, window=NEXT)
    load_with(box, warehouse, landing, {"kind": "malformed_rows", "rows": 3, "field": "number"}, window=NEXT)
    span = ["--start", "2025-06-01", "--end", f"{NEXT.end:%Y-%m-%d}", "--entity", "orders"]
    assert main(["summary", *span], environment) == 0
    told = capsys.readouterr().out.splitlines()
    received = sum(landing.manifest(next(landing.batches(window=window))).rows for window in (WINDOW, NEXT))
    (orders,) = [line for line in told if line.startswith("daily_summary entity=orders ")]
    assert f"windows=2 loaded=2 received={received} rejected=3 rejected_share={3 / received:.4f}" in orders
    assert "open=5" in orders and "schema_changes=1" in orders, "two rows of the run before are still in quarantine"
    assert any(
        "daily_summary_reason entity=orders" in line and line.endswith("rule=shape rejected=3 open=5") for line in told
    )
    assert any("daily_summary_schema" in line and "field=number change=retyped" in line for line in told)
    assert any(line.startswith("daily_summary entity=order_lines ") for line in told)
    assert summarize(warehouse, Window(NOW, NOW + timedelta(days=1))) == []


def test_a_window_inside_another_is_counted_with_it(box, warehouse, landing):
    load_with(box, warehouse, landing)
    inner = Window(WINDOW.start + timedelta(days=3), WINDOW.start + timedelta(days=4))
    load_with(box, warehouse, landing, window=inner)
    (whole, _) = summarize(warehouse, WINDOW, entities=["orders"])
    batches = list(landing.batches(entity="orders", window=WINDOW))
    assert (whole.windows, whole.received) == (1, landing.manifest(batches[0]).rows)
    (alone, _) = summarize(warehouse, inner, entities=["orders"])
    assert alone.windows == 1 and alone.inserted == 0 and 0 < alone.received < whole.received


@pytest.mark.parametrize("entity", ["orders", "events", "products", "refunds", "weather_daily", "stock_prices_daily"])
def test_an_unknown_field_of_any_source_breaks_no_load_and_is_recorded(box, warehouse, landing, entity):
    ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    before = contents(warehouse, entity)
    box.add_fault(kind="unknown_fields", path="/")
    try:
        ingest(warehouse, source_of(box, entity), WINDOW, landing=landing)
    finally:
        box.clear_faults()
    assert contents(warehouse, entity) == before
    found = warehouse.execute("SELECT entity, field, change, example, row_share FROM ops.schema_changes").fetchall()
    assert found == [(entity, "x_unheard_of", "added", "object of since, values", 1.0)]


def test_a_retyped_field_of_few_rows_is_recorded_with_its_share(box, warehouse, landing):
    load_with(box, warehouse, landing)
    load_with(box, warehouse, landing, {"kind": "malformed_rows", "rows": 2, "field": "total"})
    found = warehouse.execute("SELECT field, change, kind, detail, row_share FROM ops.schema_changes").fetchall()
    rows = landing.manifest(next(landing.batches())).rows
    (found,) = found
    assert found[:4] == ("total", "retyped", "object", "object, was string")
    assert found[4] == pytest.approx(2 / rows)


@pytest.mark.parametrize(
    ("damage", "error", "told"),
    [
        ("missing_field", RequiredFieldVanished, "`total` in 100.0% of the rows"),
        ("wrong_type", TooManyRejected, r"\(100.0%\)"),
    ],
)
def test_half_a_day_is_not_loaded_and_everything_about_it_is_kept(box, warehouse, landing, damage, error, told):
    """The shop drops or retypes a field in all of its rows from one day to the next."""
    load_with(box, warehouse, landing)
    before = contents(warehouse, "orders")
    fault = {"kind": "malformed_rows", "rows": 100, "field": "total", "damage": damage, "times": None}
    with pytest.raises(error, match=told):
        load_with(box, warehouse, landing, fault, window=NEXT)
    assert contents(warehouse, "orders") == before
    (batch,) = landing.batches(window=NEXT)
    rows = landing.manifest(batch).rows
    kept = warehouse.execute("SELECT count(*) FROM quarantine.rejected_rows WHERE entity = 'orders'").fetchone()
    validated = warehouse.execute(
        "SELECT received, quarantined FROM ops.receipts WHERE step = 'validate' AND entity = 'orders' AND batch = %s",
        (batch,),
    ).fetchone()
    assert (kept, validated) == ((rows,), (rows, rows))
    recorded = warehouse.execute("SELECT field, change, row_share FROM ops.schema_changes").fetchall()
    assert recorded == [("total", "missing" if error is RequiredFieldVanished else "retyped", 1.0)]


def test_a_personal_value_reaches_neither_the_table_nor_an_error(box, warehouse: psycopg.Connection, landing):
    load_with(box, warehouse, landing, entity="customers")
    box.add_fault(kind="malformed_rows", rows=1, field="email", path="/wp-json/wc/v3/customers", times=1)
    try:
        ingest(warehouse, source_of(box, "customers"), WINDOW, landing=landing)
    finally:
        box.clear_faults()
    ((field, example),) = warehouse.execute("SELECT field, example FROM ops.schema_changes").fetchall()
    assert (field, example) == ("email", "(personal data, see landing)")
    assert "@" not in json.dumps(warehouse.execute("SELECT example, detail FROM ops.schema_changes").fetchall())
