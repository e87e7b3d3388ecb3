"""On the simulated shop and on Online Retail, loaded by the real way, each mart is what its oracle makes of the facts.

`ONLINE_RETAIL_EXPORT=path` takes customers from a real export instead of lines that are made up.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from psycopg import Connection

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.warehouse.connection import connect_warehouse
from tests.integration import test_mart_cohort_retention as retention
from tests.integration import test_mart_correlations as correlations
from tests.integration import test_mart_customer_lifetime as lifetime
from tests.integration import test_mart_funnel_daily as funnel
from tests.integration import test_mart_market_basket as basket
from tests.integration import test_mart_order_value_statistics as values
from tests.integration import test_mart_product_performance as performance
from tests.integration import test_mart_revenue_daily as revenue
from tests.integration import test_mart_rfm_segments as rfm
from tests.integration.customer_trade import facts_of
from tests.integration.ingestion_shop import ingest, ingest_all
from tests.integration.oracle_funnel import plain_funnel
from tests.integration.oracle_revenue_daily import plain_revenue
from tests.integration.sandbox_process import sandbox
from tests.integration.test_online_retail import WINDOW, made_up, write
from tests.integration.test_online_retail_files import ENTITIES, files_of
from tests.integration.whole_shops import LEAST_SUPPORT, WholeShop, some_customers
from tests.own_database import own_database

EXPORT = os.environ.get("ONLINE_RETAIL_EXPORT")
NOTHING = 1e-6
CUSTOMERS = [str(number) for number in range(12346, 12346 + 40)]


def simulated(conn: Connection, folder: Path) -> WholeShop:
    """Fifteen months over HTTP, with events, weather and share prices."""
    window = Window(datetime(2024, 10, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    with sandbox(customers=30, seed=5) as box:
        ingest_all(conn, box, window, landing=Landing(folder / "landing"))
    return WholeShop(conn, window, "Europe/Berlin")


def online_retail(conn: Connection, folder: Path) -> WholeShop:
    """A file in that layout."""
    lines = some_customers(Path(EXPORT)) if EXPORT else made_up(9, invoices=300, customers=["", *CUSTOMERS])
    (folder / "export").mkdir()
    write(lines, folder / "export" / "shop.csv")
    window = Window(datetime(2009, 12, 1, tzinfo=UTC), datetime(2011, 12, 10, tzinfo=UTC)) if EXPORT else WINDOW
    for entity in ENTITIES:
        ingest(conn, files_of(folder / "export", entity), window, landing=Landing(folder / "landing"))
    return WholeShop(conn, window, "Europe/London")


@pytest.fixture(scope="module", params=[simulated, online_retail], ids=lambda fill: fill.__name__)
def shop(request, postgres_server, tmp_path_factory) -> Iterator[WholeShop]:
    with (
        own_database(postgres_server, f"whole_{request.param.__name__}") as dsn,
        connect_warehouse(dsn) as conn,
    ):
        loaded = request.param(conn, tmp_path_factory.mktemp("whole"))
        loaded.make_marts()
        assert loaded.orders and loaded.refunds
        yield loaded


@pytest.fixture(scope="module")
def facts(shop: WholeShop) -> pd.DataFrame:
    return facts_of(shop.orders, shop.refunds, zone=shop.zone)


@pytest.fixture(scope="module")
def daily(shop: WholeShop) -> pd.DataFrame:
    """Revenue by currency and day, as pandas and statsmodels have it."""
    return plain_revenue(shop.orders, shop.refunds, zone=shop.zone, until=shop.until)


def test_revenue_of_days(shop, daily):
    revenue.assert_same(revenue.revenue(shop.conn), daily)


def test_retention_of_cohorts(shop, facts):
    found = shop.mart("cohort_retention")
    retention.assert_same(found, retention.plain_retention(facts, zone=shop.zone, until=shop.until))


def test_scores_and_movements_of_customers(shop, facts):
    found = shop.mart("rfm_customers")
    scores = {(row.pop("customer_id"), row.pop("currency")): row for row in found}
    assert scores == rfm.plain_scores(facts, datetime(2100, 1, 1, tzinfo=UTC))
    moved = rfm.movements(shop.mart("rfm_movements"))
    assert moved == rfm.plain_movements(facts, zone=shop.zone, until=shop.until)
    over = shop.rows("SELECT * FROM analytics.rfm_segments WHERE is_complete")
    counts = ("customer_count", "order_count", "net_amount")
    assert {
        (row["month_on"], row["currency"], row["segment"]): [row[name] for name in counts] for row in over
    } == rfm.sizes(moved)


def test_lifetimes_and_repeat_rates(shop, facts):
    expected = lifetime.plain_lifetimes(facts)
    found = lifetime.lifetimes(shop.mart("customer_lifetime"))
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert {name: found[key][name] for name in row} == row, key
    lifetime.assert_rates_are_of(expected, shop.mart("repeat_rates"))


def test_the_way_to_an_order(shop):
    found = {tuple(row.pop(name) for name in funnel.MART.key): row for row in shop.mart("funnel_daily")}
    funnel.assert_same(found, plain_funnel(shop.events, shop.zone))


def test_what_is_bought_together(shop):
    products = [
        {line.product_id for line in order.lines if line.kind == "product"} - {None} for order in shop.purchases
    ]
    rules = basket.rules_in(shop.conn)
    basket.assert_rules_are(rules, [sorted(each) for each in products if each], least_support=float(LEAST_SUPPORT))
    assert rules


def test_how_products_do(shop):
    """Products that were never sold nor given back stand in the mart too."""
    lines = pd.DataFrame(shop.lines).astype({"product_id": "Int64"})
    expected = performance.plain_performance(lines, until=shop.until, time_zone=shop.zone)
    rows = {(row["product_id"], row["currency"]): row for row in shop.mart("product_performance")}
    for key, row in expected.items():
        if row["net_amount"] <= 0:
            del row["revenue_rank"]  # Below those that were only offered.
        nothing = NOTHING * max(1, abs(row["price_elasticity"] or 0))
        if row["price_elasticity_error"] is not None and row["price_elasticity_error"] < nothing:
            del row["price_elasticity_error"]  # Of a line that all weeks lie on, both are the rest of rounding.
            assert rows[key]["price_elasticity_error"] < nothing
    performance.assert_same({key: row for key, row in rows.items() if key in expected}, expected)
    assert all(row["line_count"] == row["returned_amount"] == 0 for key, row in rows.items() if key not in expected)


def test_what_orders_are_worth(shop):
    countries = {row["order_id"]: (row["country"] or "", row["currency"]) for row in shop.orders}
    versions = values.versions_of(shop.versions)
    groups: dict[tuple[str, str, str], list[Decimal]] = defaultdict(list)
    for order in shop.purchases:
        country, currency = countries[order.order_id]
        groups["all", "", currency].append(order.amount)
        groups["country", country, currency].append(order.amount)
        for category, amount in values.categories_of(order, versions).items():
            groups["category", category, currency].append(amount)
    rows = shop.mart("order_value_statistics")
    found = {(row.pop("scope"), row.pop("scope_value"), row.pop("currency")): row for row in rows}
    assert found.keys() == groups.keys()
    for group, amounts in groups.items():
        values.assert_same(found[group], values.plain_statistics(amounts))


def test_what_goes_along_with_sales(shop, daily):
    signals = signals_of(shop)
    for currency, own in daily[daily["is_complete"]].groupby(level="currency"):
        days = own.droplevel("currency")
        sales = {name: pd.Series(days[name].to_numpy(float), index=days.index.date) for name in correlations.SHOP}
        exact = {name: series.round(12) for name, series in (sales | signals).items()}  # Or ties would be none.
        expected = correlations.plain_correlations(exact)
        found = correlations.correlations(shop.conn, currency)
        assert list(found.index) == list(expected.index)
        for column in expected.columns:
            left, right = found[column].astype(float), expected[column].astype(float)
            np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12, err_msg=column)


def signals_of(shop: WholeShop) -> dict[str, pd.Series]:
    """The measures of weather and market by day, those that are known of any day."""
    weather = shop.rows("SELECT * FROM signals.weather_daily")
    prices = shop.rows("SELECT * FROM signals.stock_prices_daily")
    found: dict[str, Any] = correlations.weather_and_market(weather, prices) if weather and prices else {}
    return {name: series for name, series in found.items() if len(series)}
