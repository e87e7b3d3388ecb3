"""The shop changes between two requests for its lists, over real HTTP: nothing is missed, whatever moved."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from include.entities.events import EVENTS
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.limits import HttpLimits
from include.sources.woocommerce_customers import WooCommerceCustomers
from include.sources.woocommerce_orders import WooCommerceOrders
from include.sources.woocommerce_products import WooCommerceProducts
from include.sources.woocommerce_refunds import WooCommerceRefunds
from tests.integration.ingestion_shop import ingest, source_of
from tests.integration.sandbox_process import sandbox

START, MIDNIGHT = datetime(2024, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
WINDOW = Window(START, MIDNIGHT)
NEXT_DAY = Window(MIDNIGHT, MIDNIGHT + timedelta(days=1))


@pytest.fixture(scope="module")
def box():
    with sandbox(customers=230, seed=11) as running:
        yield running


@pytest.fixture
def shop(box):
    """The sandbox in the small hours after the window, as it was before any test changed it."""
    box._control("DELETE", "edits")
    box.set_clock("2026-01-01T02:00:00Z")
    yield box
    box.clear_faults()


@pytest.fixture
def landing(tmp_path) -> Landing:
    return Landing(tmp_path / "landing")


def edit_between_pages(box, collection: str, edits: dict[int, list[dict]]) -> None:
    """Before request number n (from 0) for the collection, its edits are made."""
    for number in range(max(edits) + 1):
        path, changes = f"/wp-json/wc/v3/{collection}", edits.get(number, [])
        box.add_fault(kind="edit_records", path=path, times=1, collection=collection, edits=changes)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_no_version_is_missed_when_orders_are_edited_between_pages(shop, warehouse, landing, seed, concurrency):
    print(f"seed={seed}")
    chance = random.Random(seed)
    keys = [each["id"] for each in shop.pages("/orders", orderby="modified", order="asc")]
    assert len(keys) > 1000
    edits: dict[int, list[dict]] = {}
    for _ in range(25):
        minute = chance.randrange(120)
        change = {
            "key": chance.choice(keys),
            "modified_at": f"2026-01-01T{minute // 60:02}:{minute % 60:02}:00Z",
            "set": {"status": chance.choice(["completed", "refunded", "cancelled", "on-hold"])},
        }
        edits.setdefault(chance.randrange(12), []).append(change)
    edit_between_pages(shop, "orders", edits)
    source = source_of(shop, "orders", limits=HttpLimits(concurrency=concurrency))
    ingest(warehouse, source, WINDOW, landing=landing)
    untouched = set(keys) - {change["key"] for changes in edits.values() for change in changes}
    stored = {key for (key,) in warehouse.execute("SELECT order_id FROM shop.orders")}
    assert untouched <= stored, "the window alone has every order that kept its place"
    shop.clear_faults()
    ingest(warehouse, source, NEXT_DAY, landing=landing)
    truth = shop.pages("/orders")
    expected = sorted((each["id"], each["status"], each["date_modified_gmt"]) for each in truth)
    columns = "order_id, status, to_char(source_updated_at, 'YYYY-MM-DD\"T\"HH24:MI:SS')"
    assert warehouse.execute(f"SELECT {columns} FROM shop.orders ORDER BY 1").fetchall() == expected
    lines = warehouse.execute("SELECT order_id, line_id FROM shop.order_lines ORDER BY 1, 2").fetchall()
    listed = ("line_items", "shipping_lines", "fee_lines")
    assert lines == sorted((each["id"], line["id"]) for each in truth for name in listed for line in each[name])


@pytest.mark.parametrize("seed", range(4))
def test_customers_who_go_and_come_between_pages_hide_nobody_though_the_total_stays_the_same(
    shop, warehouse, landing, seed
):
    print(f"seed={seed}")
    chance = random.Random(seed)
    keys = [each["id"] for each in shop.pages("/customers", orderby="id", order="asc")]
    assert len(keys) > 200, "three pages at least"
    gone = chance.sample(keys[:150], 6)
    newcomers = [max(keys) + 1 + number for number in range(len(gone))]
    edit_between_pages(
        shop,
        "customers",
        {
            number: [
                {"key": old, "remove": True},
                {"key": new, "copy_of": keys[-1]},
                {"key": keys[160 + number], "set": {"first_name": f"Renamed {number}"}},
            ]
            for number, (old, new) in enumerate(zip(gone[:3], newcomers[:3], strict=True), start=1)
        },
    )
    source = source_of(shop, "customers", limits=HttpLimits(concurrency=1))
    ingest(warehouse, source, WINDOW, landing=landing)
    stored = {key for (key,) in warehouse.execute("SELECT customer_id FROM shop.customers")}
    assert set(keys) - set(gone) <= stored
    shop.clear_faults()
    ingest(warehouse, source, NEXT_DAY, landing=landing)
    truth = {each["id"]: each["first_name"] for each in shop.pages("/customers")}
    assert set(newcomers[:3]) <= set(truth) and len(truth) == len(keys)
    rows = dict(warehouse.execute("SELECT customer_id, first_name FROM shop.customers").fetchall())
    assert truth == {key: name for key, name in rows.items() if key in truth}
    assert set(rows) - set(truth) <= set(gone), "who is gone from the shop stays in the warehouse"


@pytest.mark.parametrize(
    ("entity", "late"),
    [
        ("orders", {"set": {"status": "refunded"}}),
        ("products", {"set": {"price": "77.00"}}),
        ("products", {"copy_of": True}),
        ("refunds", {"copy_of": True}),
    ],
)
def test_a_row_that_came_late_is_taken_in_by_the_next_scheduled_window(shop, warehouse, landing, entity, late):
    """Its time of modification lies in a window that was read before the shop showed it."""
    like = shop.pages(f"/{entity}", orderby="id", order="asc")[0]["id"]
    source = source_of(shop, entity)
    ingest(warehouse, source, WINDOW, landing=landing)
    key = 10**6 if "copy_of" in late else like
    shop.edit(entity, key, modified_at="2025-12-31T23:20:00Z", **{**late, **({"copy_of": like} if key != like else {})})
    ingest(warehouse, source, NEXT_DAY, landing=landing)
    found = warehouse.execute(
        f"SELECT source_updated_at FROM shop.{entity} WHERE {entity.removesuffix('s')}_id = %s", (key,)
    )
    assert found.fetchall() == [(datetime(2025, 12, 31, 23, 20, tzinfo=UTC),)]


def test_every_list_that_is_asked_for_by_modification_looks_back_an_hour_at_least():
    filtered = [
        source_class.entity
        for source_class in (WooCommerceOrders, WooCommerceProducts, WooCommerceRefunds, WooCommerceCustomers)
        if source_class.is_filtered
    ]
    assert len(filtered) == 3
    assert {each.name for each in [*filtered, EVENTS] if each.look_back < timedelta(hours=1)} == set()
