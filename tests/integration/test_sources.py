"""Every source against a real sandbox: what is in the warehouse is what the API says, fetched in another way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import requests

from include.entities.entity import Entity
from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.limits import HttpLimits
from include.sources.source import Page, Source
from tests.integration.ingestion_shop import PLACES, SYMBOLS, contents, days, ingest, rows_of, source_of
from tests.integration.sandbox_process import SandboxProcess, sandbox

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = Window(START, END)
NOT_TOLD = {"source", "content_digest"}
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=60, seed=5) as running:
        yield running


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(tmp_path / "landing")


def instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def expected_orders(wire: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "order_id": each["id"],
            "order_number": each["number"],
            "customer_id": each["customer_id"] or None,
            "status": each["status"],
            "currency": "EUR",
            "total_amount": Decimal(each["total"]),
            "discount_amount": Decimal(each["discount_total"]),
            "shipping_amount": Decimal(each["shipping_total"]),
            "tax_amount": Decimal(each["total_tax"]),
            "country": each["billing"]["country"],
            "placed_at": instant(each["date_created_gmt"]),
            "paid_at": instant(each["date_paid_gmt"]),
            "completed_at": instant(each["date_completed_gmt"]),
            "cancelled_at": instant(each["date_modified_gmt"]) if each["status"] in ("cancelled", "failed") else None,
            "source_updated_at": instant(each["date_modified_gmt"]),
        }
        for each in wire
    ]


def expected_lines(wire: Iterable[dict[str, Any]], *, key: str, sign: int) -> list[dict[str, Any]]:
    rows = []
    for each in wire:
        version = {
            key: each["id"],
            "source_updated_at": instant(each.get("date_modified_gmt", each["date_created_gmt"])),
        }
        for line in each["line_items"]:
            goods = {"product_id": line["product_id"], "sku": line["sku"], "quantity": sign * line["quantity"]}
            amounts = {
                "total_amount": sign * Decimal(line["total"]),
                "unit_price": round(Decimal(str(line["price"])), 4),
            }
            rows.append({**version, "line_id": line["id"], "kind": "product", "name": line["name"], **goods, **amounts})
        for kind, title in (("shipping", "method_title"), ("fee", "name")):
            for line in each[f"{kind}_lines"]:
                total = sign * Decimal(line["total"])
                bare = {"product_id": None, "sku": None, "quantity": 1, "total_amount": total, "unit_price": total}
                rows.append({**version, "line_id": line["id"], "kind": kind, "name": line[title], **bare})
    if key == "refund_id":
        for row in rows:
            del row["unit_price"]
    return rows


def expected_refunds(wire: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "refund_id": each["id"],
            "order_id": each["parent_id"] or None,
            "customer_id": next((int(meta["value"]) for meta in each["meta_data"]), None),
            "refund_amount": Decimal(each["amount"]),
            "currency": "EUR",
            "reason": each["reason"] or None,
            "refunded_at": instant(each["date_created_gmt"]),
            "source_updated_at": instant(each["date_created_gmt"]),
        }
        for each in wire
    ]


def expected_customers(wire: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "customer_id": each["id"],
            "email": each["email"],
            "first_name": each["first_name"],
            "last_name": each["last_name"],
            "country": each["billing"]["country"],
            "registered_at": instant(each["date_created_gmt"]),
            "is_paying": each["is_paying_customer"],
            "source_updated_at": instant(each["date_modified_gmt"]),
        }
        for each in wire
    ]


def expected_products(wire: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "product_id": each["id"],
            "sku": each["sku"],
            "name": each["name"],
            "price": Decimal(each["price"]),
            "currency": "EUR",
            "categories": [category["name"] for category in each["categories"]],
            "attributes": {attribute["name"]: attribute["options"] for attribute in each["attributes"]},
            "stock_status": each["stock_status"],
            "is_published": each["status"] == "publish",
            "created_at": instant(each["date_created_gmt"]),
            "source_updated_at": instant(each["date_modified_gmt"]),
        }
        for each in wire
    ]


def expected_events(wire: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    def number(value: str | None) -> int | None:
        return int(value) if value else None

    return [
        {
            "event_id": each["messageId"],
            "event_name": each["event"],
            "customer_id": number(each["userId"]),
            "anonymous_id": each["anonymousId"],
            "product_id": number(each["properties"].get("product_id")),
            "order_id": number(each["properties"].get("order_id")),
            "properties": {**each["properties"], "context": each["context"]},
            "occurred_at": instant(each["timestamp"]),
            "source_updated_at": instant(each["receivedAt"]),
        }
        for each in wire
    ]


def exported(box: SandboxProcess, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """All events received in [start, end), one cursor from beginning to end."""
    events, asked = [], {"start": start.isoformat(), "end": end.isoformat(), "limit": 700}
    while True:
        answer = box.events(**asked)
        answer.raise_for_status()
        events += [json.loads(line) for line in answer.text.splitlines()]
        if "X-Next-Cursor" not in answer.headers:
            return events
        asked["cursor"] = answer.headers["X-Next-Cursor"]


def expected_weather(box: SandboxProcess, first: date, last: date) -> list[dict[str, Any]]:
    names = {
        "temperature_max_celsius": "temperature_2m_max",
        "temperature_min_celsius": "temperature_2m_min",
        "precipitation_mm": "precipitation_sum",
        "wind_speed_max_kmh": "wind_speed_10m_max",
    }
    rows = []
    for place in PLACES:
        asked = {"start_date": str(first), "end_date": str(last), "daily": ",".join(names.values()), **place}
        daily = requests.get(f"{box.base_url}/v1/archive", params=asked, timeout=30).json()["daily"]
        rows += [
            {
                "location": place["name"],
                "weather_on": date.fromisoformat(day),
                "country": place.get("country"),
                "latitude": place["latitude"],
                "longitude": place["longitude"],
                **{ours: daily[theirs][number] for ours, theirs in names.items()},
            }
            for number, day in enumerate(daily["time"])
        ]
    return rows


def expected_prices(box: SandboxProcess, first: date, last: date) -> list[dict[str, Any]]:
    rows = []
    for symbol in SYMBOLS:
        asked = {"function": "TIME_SERIES_DAILY", "symbol": symbol, "outputsize": "full", "apikey": box.stock_key}
        series = requests.get(f"{box.base_url}/query", params=asked, timeout=30).json()["Time Series (Daily)"]
        rows += [
            {
                "symbol": symbol,
                "traded_on": date.fromisoformat(day),
                "open_price": Decimal(numbers["1. open"]),
                "high_price": Decimal(numbers["2. high"]),
                "low_price": Decimal(numbers["3. low"]),
                "close_price": Decimal(numbers["4. close"]),
                "currency": "USD",
                "volume": int(numbers["5. volume"]),
            }
            for day, numbers in series.items()
            if first <= date.fromisoformat(day) <= last
        ]
    return rows


def assert_table(conn: psycopg.Connection, table: str, expected: list[dict[str, Any]], *, without: set[str] = NOT_TOLD):
    """The table holds exactly the expected rows, column by column; their number is named first, it reads better."""
    stored = rows_of(conn, table, without=without)
    wanted = [dict(sorted(row.items())) for row in expected]
    found = [dict(sorted(row.items())) for row in stored]
    assert len(found) == len(wanted) > 0
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def test_customers_are_what_the_shop_says_whole_whatever_the_window(box, warehouse, landing):
    short = Window(START, START + SECOND)
    ingest(warehouse, source_of(box, "customers"), short, landing=landing)
    assert_table(warehouse, "shop.customers", expected_customers(box.pages("/customers")))


def test_products_are_what_the_shop_says(box, warehouse, landing):
    ingest(warehouse, source_of(box, "products"), EVERYTHING, landing=landing)
    assert_table(warehouse, "shop.products", expected_products(box.pages("/products")))


def test_orders_and_their_lines_are_what_the_shop_says(box, warehouse, landing):
    ingest(warehouse, source_of(box, "orders"), EVERYTHING, landing=landing)
    truth = box.pages("/orders")
    assert_table(warehouse, "shop.orders", expected_orders(truth))
    assert_table(warehouse, "shop.order_lines", expected_lines(truth, key="order_id", sign=1))


def test_refunds_and_their_lines_are_what_the_shop_says(box, warehouse, landing):
    ingest(warehouse, source_of(box, "refunds"), EVERYTHING, landing=landing)
    truth = box.pages("/refunds")
    assert_table(warehouse, "shop.refunds", expected_refunds(truth))
    assert_table(warehouse, "shop.refund_lines", expected_lines(truth, key="refund_id", sign=-1))


def test_events_read_in_slices_are_those_of_one_long_cursor(box, warehouse, landing):
    run = ingest(warehouse, source_of(box, "events"), EVERYTHING, landing=landing)
    requested = {page.request.split("&")[0] for page in landing.manifest(run.batch).pages}
    assert len(requested) == 8, "one slice of time for each eighth of the window"
    assert run["upsert", "events"].duplicate == 0, "slices do not overlap"
    assert_table(warehouse, "shop.events", expected_events(exported(box, START - timedelta(hours=1), END)))


def test_weather_is_what_the_archive_says_with_a_week_of_look_back(box, warehouse, landing):
    window = Window(datetime(2025, 3, 10, tzinfo=UTC), datetime(2025, 4, 10, tzinfo=UTC))
    ingest(warehouse, source_of(box, "weather_daily"), window, landing=landing)
    expected = expected_weather(box, date(2025, 3, 3), date(2025, 4, 9))
    assert_table(warehouse, "signals.weather_daily", expected, without=NOT_TOLD | {"source_updated_at"})


@pytest.mark.parametrize(("start", "size"), [(datetime(2025, 12, 1, tzinfo=UTC), "compact"), (START, "full")])
def test_prices_are_what_the_market_says_and_the_short_answer_is_taken_where_it_reaches(
    box, warehouse, landing, start, size
):
    window = Window(start, END)
    run = ingest(warehouse, source_of(box, "stock_prices_daily"), window, landing=landing)
    expected = expected_prices(box, (start - timedelta(days=7)).date(), date(2025, 12, 31))
    assert_table(warehouse, "signals.stock_prices_daily", expected, without=NOT_TOLD | {"source_updated_at"})
    assert [page.request.rpartition("=")[2] for page in landing.manifest(run.batch).pages] == [size, size]


@pytest.mark.parametrize("entity", ["customers", "products", "orders", "refunds", "events"])
def test_a_month_day_by_day_gives_the_tables_of_the_month_in_one(box, warehouse, landing, entity):
    month = Window(datetime(2025, 11, 20, tzinfo=UTC), datetime(2025, 12, 20, tzinfo=UTC))
    source = source_of(box, entity)
    ingest(warehouse, source, month, landing=landing)
    in_one = contents(warehouse, entity)
    assert all(rows for rows in in_one.values())
    empty(warehouse, source.entity)
    for day in days(month.start, 30):
        ingest(warehouse, source, day, landing=landing)
    assert contents(warehouse, entity) == in_one


@pytest.mark.parametrize("entity", ["weather_daily", "stock_prices_daily"])
def test_days_of_signals_one_by_one_give_the_tables_of_all_in_one(box, warehouse, landing, entity):
    days_in_all = 12
    start = datetime(2025, 11, 20, tzinfo=UTC)
    source = source_of(box, entity)
    ingest(warehouse, source, Window(start, start + timedelta(days=days_in_all)), landing=landing)
    in_one = contents(warehouse, entity)
    empty(warehouse, source.entity)
    for day in reversed(days(start, days_in_all)):
        ingest(warehouse, source, day, landing=landing)
    assert contents(warehouse, entity) == in_one


def empty(conn: psycopg.Connection, entity: Entity) -> None:
    for each in (entity, entity.child):
        if each is not None:
            conn.execute(f"TRUNCATE {each.table}")
    conn.commit()


def read(source: Source, window: Window) -> list[Page]:
    async def all_pages() -> list[Page]:
        return [page async for page in source.pages(window)]

    return asyncio.run(all_pages())


def ids_in(source: Source, window: Window) -> set[int]:
    return {each["id"] for page in read(source, window) for each in json.loads(page.body)}


def test_a_window_is_half_open_to_the_second_with_an_hour_of_look_back(box):
    source = source_of(box, "orders")
    order = box.pages("/orders", orderby="modified", order="asc")[40]
    modified = instant(order["date_modified_gmt"])
    assert modified is not None
    hour = timedelta(hours=1)
    for start, end, is_inside in (
        (modified + hour, modified + hour + SECOND, True),
        (modified + hour + SECOND, modified + 2 * hour, False),
        (modified - SECOND, modified, False),
        (modified - SECOND, modified + SECOND, True),
        (modified - SECOND, modified + timedelta(microseconds=1), True),
        (modified + hour + timedelta(microseconds=1), modified + 2 * hour, True),
    ):
        assert (order["id"] in ids_in(source, Window(start, end))) is is_inside, (start, end)


@pytest.mark.parametrize("entity", ["orders", "products", "refunds"])
def test_windows_that_meet_miss_no_row_and_share_only_those_of_the_look_back(box, entity):
    source = source_of(box, entity)
    listed = box.pages(f"/{entity}", orderby="modified", order="asc")
    modified = {each["id"]: instant(each.get("date_modified_gmt", each["date_created_gmt"])) for each in listed}
    middle = sorted(modified.values())[-10]
    first, second = ids_in(source, Window(START, middle)), ids_in(source, Window(middle, END))
    assert first | second == set(modified)
    back = middle - ENTITIES[entity].look_back
    assert first & second == {key for key, at in modified.items() if back <= at < middle}
    assert first and second


def test_events_are_half_open_to_the_millisecond(box):
    source = source_of(box, "events")
    event = exported(box, START, END)[500]
    received = instant(event["receivedAt"])
    assert received is not None
    hour, step = timedelta(hours=1), timedelta(milliseconds=1)

    def is_in(start: datetime, end: datetime) -> bool:
        return any(event["messageId"].encode() in page.body for page in read(source, Window(start, end)))

    assert is_in(received + hour, received + hour + step)
    assert not is_in(received + hour + step, received + 2 * hour)
    assert not is_in(received - step, received)
    assert is_in(received - step, received + step)


def test_a_shop_in_another_time_zone_gives_the_same_window(warehouse, landing):
    with sandbox(customers=20, seed=5, utc_offset_hours=5.5) as east:
        truth = east.pages("/orders", orderby="modified", order="asc")
        window = Window(instant(truth[10]["date_modified_gmt"]), instant(truth[40]["date_modified_gmt"]))
        ingest(warehouse, source_of(east, "orders"), window, landing=landing)
    back = window.start - timedelta(hours=1)
    inside = [each for each in truth if back <= instant(each["date_modified_gmt"]) < window.end]
    assert len(inside) < len(truth)
    assert_table(warehouse, "shop.orders", expected_orders(inside))


def test_a_small_window_asks_for_no_more_than_it_needs(box):
    before = len(box.requests())
    read(source_of(box, "orders"), Window(START + timedelta(days=5), START + timedelta(days=6)))
    assert [each["path"] for each in box.requests()[before:]] == ["/wp-json/wc/v3/orders"] * 2, "two answers must agree"


def test_many_pages_are_read_side_by_side_and_none_twice(box):
    source = source_of(box, "orders", limits=HttpLimits(concurrency=3))
    before = len(box.requests())
    pages = read(source, EVERYTHING)
    asked = [each["query"]["offset"] for each in box.requests()[before:]]
    expected = [str(99 * number) for number in range(len(pages))]
    assert sorted(asked, key=int) == expected, "each page begins with the row that ended the one before"
    assert [page.request.rpartition("=")[2] for page in pages] == expected
    assert len(pages) > 6


def test_weather_that_was_late_is_filled_in_when_it_is_read_again(warehouse, landing):
    with sandbox(customers=5, seed=1) as box:
        days_of = Window(datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 5, 10, tzinfo=UTC))
        source = source_of(box, "weather_daily")
        box.set_clock("2025-05-10T04:00:00Z")
        ingest(warehouse, source, days_of, landing=landing)
        late = (
            "SELECT location, weather_on FROM signals.weather_daily WHERE temperature_max_celsius IS NULL ORDER BY 1, 2"
        )
        missing = warehouse.execute(late).fetchall()
        assert [day for place, day in missing if place == "Oslo"] == [date(2025, 5, 8), date(2025, 5, 9)]
        box.set_clock("2025-05-11T04:00:00Z")
        next_day = Window(days_of.end, days_of.end + timedelta(days=1))
        receipt = ingest(warehouse, source, next_day, landing=landing)["upsert", "weather_daily"]
        assert (receipt.inserted, receipt.updated, receipt.unchanged) == (2, 2, 12)
        expected = expected_weather(box, date(2025, 4, 24), date(2025, 5, 10))
        assert_table(warehouse, "signals.weather_daily", expected, without=NOT_TOLD | {"source_updated_at"})


def test_days_of_a_living_shop_end_with_the_newest_version_of_everything(warehouse, landing):
    """The clock moves from day to day as it does for a schedule; late edits of old orders arrive with their day."""
    with sandbox(customers=12, seed=9) as box:
        for day in days(datetime(2024, 6, 1, tzinfo=UTC), 20):
            box.set_clock(day.end.isoformat())
            for entity in ("orders", "refunds", "products"):
                ingest(warehouse, source_of(box, entity), day, landing=landing)
        ingest(warehouse, source_of(box, "customers"), day, landing=landing)
        after = {"modified_after": "2024-05-31T22:59:59", "dates_are_gmt": "true"}
        truth = box.pages("/orders", **after)
        assert_table(warehouse, "shop.orders", expected_orders(truth))
        lines = expected_lines(truth, key="order_id", sign=1)
        version = {"source_updated_at"}
        untimed = [{name: value for name, value in line.items() if name not in version} for line in lines]
        assert_table(warehouse, "shop.order_lines", untimed, without=NOT_TOLD | version)
        assert_table(warehouse, "shop.customers", expected_customers(box.pages("/customers")))
        statement = "SELECT sum(updated) FROM ops.receipts WHERE entity = 'orders'"
        assert warehouse.execute(statement).fetchone()[0] > 0, "no order changed: the test saw no late version"
