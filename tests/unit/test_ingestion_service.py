"""The service with in-memory doubles: no server, no network, no disk."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from upath import UPath

from include.entities.orders import ORDER_LINES, ORDERS
from include.entities.window import Window
from include.ingestion.errors import LandingDamaged, NotValidated
from include.ingestion.landing import BatchWriter, Landing
from include.ingestion.service import IngestionService
from include.sources.errors import SourceUnreachable
from include.sources.settings import SourceSettings
from include.sources.source import Page
from include.sources.woocommerce_orders import WooCommerceOrders
from tests.warehouse_stores import StoresInMemory, service_over

DAY = datetime(2024, 1, 1, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))
NOW = datetime(2024, 1, 2, 3, tzinfo=UTC)
_numbers = itertools.count(1)


class Orders(WooCommerceOrders):
    """The orders of a shop whose answers are given."""

    # Great Expectations takes seconds to import; what it says is tested elsewhere.
    entity = replace(ORDERS, expectations=(), child=replace(ORDER_LINES, expectations=()))

    def __init__(self, *answers: bytes | Exception) -> None:
        super().__init__(SourceSettings(name="shop_api", base_url="http://shop"))
        self.answers = answers

    async def pages(self, window: Window) -> AsyncIterator[Page]:
        for number, answer in enumerate(self.answers, start=1):
            if isinstance(answer, Exception):
                raise answer
            yield Page(body=answer, request=f"/orders?page={number}", received_at=NOW)


def order(key: int, *, quantity: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": key, "number": str(key), "status": "processing", "currency": "GBP", "total": "5.00",
        "date_created_gmt": "2024-01-01T08:00:00", "date_modified_gmt": "2024-01-01T09:00:00",
        "line_items": [{"id": 1, "name": "cup", "quantity": quantity, "total": "5.00"}], **changes,
    }  # fmt: skip


def answer(*orders: dict[str, Any]) -> bytes:
    return msgspec.json.encode(orders)


@pytest.fixture
def landing() -> Iterator[Landing]:
    root = UPath(f"memory://landing-{next(_numbers)}")
    yield Landing(root)


@pytest.fixture
def stores() -> StoresInMemory:
    return StoresInMemory()


def service(stores: StoresInMemory, landing: Landing, *answers: bytes | Exception) -> IngestionService:
    return service_over(stores, Orders(*answers), landing, now=NOW, run="r")


def run(stores: StoresInMemory, landing: Landing, *answers: bytes | Exception) -> dict[tuple[str, str], Any]:
    receipts = asyncio.run(service(stores, landing, *answers).run(WINDOW))
    return {(receipt.step, receipt.entity): receipt for receipt in receipts}


def test_what_the_source_gives_is_in_the_repository_and_every_step_has_its_receipt(stores, landing):
    receipts = run(stores, landing, answer(order(1), order(2)), answer(order(3)))
    assert {key[0] for key in stores.store.tables["orders"]} == {1, 2, 3}
    assert {key[0] for key in stores.store.tables["order_lines"]} == {1, 2, 3}
    assert receipts["extract", "orders"].passed == receipts["validate", "orders"].received == 3
    assert receipts["upsert", "orders"].inserted == receipts["upsert", "order_lines"].inserted == 3
    assert [each["step"] for each in stores.kept_receipts()] == ["extract", *["validate"] * 2, *["upsert"] * 2]


def test_running_a_window_again_changes_nothing(stores, landing):
    run(stores, landing, answer(order(1)))
    before = dict(stores.store.tables["orders"])
    again = run(stores, landing, answer(order(1)))
    assert again["upsert", "orders"].unchanged == again["upsert", "order_lines"].unchanged == 1
    assert stores.store.tables["orders"] == before


def test_a_row_that_does_not_fit_is_quarantined_with_its_origin_and_the_others_are_loaded(stores, landing):
    receipts = run(stores, landing, answer(order(1)), answer(order(2), order(3, total="much")))
    assert {key[0] for key in stores.store.tables["orders"]} == {1, 2}
    rejected = {(each["entity"], each["landing_position"]): each for each in stores.kept_rejections()}
    assert set(rejected) == {("orders", "1"), ("order_lines", "1.0")}
    batch = receipts["extract", "orders"].batch
    assert rejected["orders", "1"]["landing_file"] == f"{batch}/page-00002.zst"
    assert "much" in rejected["orders", "1"]["reason"]
    loaded = receipts["upsert", "orders"]
    assert (loaded.received, loaded.inserted, loaded.quarantined) == (3, 2, 1)


def test_a_rejected_line_leaves_its_order_standing(stores, landing):
    lines = [{"id": 1, "name": "cup", "quantity": 1, "total": "5.00"}, {"id": 2, "name": "mug", "total": "x"}]
    receipts = run(stores, landing, answer(order(1, line_items=lines)))
    assert list(stores.store.tables["order_lines"]) == [(1, 1)]
    assert receipts["upsert", "orders"].inserted == 1
    assert receipts["upsert", "order_lines"].quarantined == 1


def test_a_source_that_gives_up_leaves_no_batch_and_no_receipt(stores, landing):
    with pytest.raises(SourceUnreachable):
        run(stores, landing, answer(order(1)), SourceUnreachable("it is down"))
    assert list(landing.batches()) == []
    assert stores.kept_receipts() == []


def test_a_batch_that_was_not_validated_cannot_be_loaded(stores, landing):
    ingestion = service(stores, landing, answer(order(1)))
    batch = asyncio.run(ingestion.extract(WINDOW)).batch
    assert batch is not None
    with pytest.raises(NotValidated):
        ingestion.load(WINDOW, batch=batch)
    assert stores.store.tables["orders"] == {}


def test_a_validation_that_fails_takes_back_what_an_earlier_one_had_allowed(stores, landing):
    ingestion = service(stores, landing, answer(order(1)))
    batch = asyncio.run(ingestion.extract(WINDOW)).batch
    assert batch is not None
    ingestion.validate(WINDOW, batch=batch)
    (page,) = [path for path in (landing.root / batch).iterdir() if path.name.startswith("page-")]
    page.write_bytes(b"damaged")
    before = stores.kept_receipts()
    with pytest.raises(LandingDamaged):
        ingestion.validate(WINDOW, batch=batch)
    with pytest.raises(NotValidated):
        ingestion.load(WINDOW, batch=batch)
    assert stores.kept_receipts() == before


def test_a_load_that_fails_leaves_the_tables_as_they_were(stores, landing, monkeypatch):
    run(stores, landing, answer(order(1)))
    before = dict(stores.store.tables["orders"])

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(stores.repository, "_merge_lines", fail)
    newer = order(1, date_modified_gmt="2024-01-01T10:00:00")
    with pytest.raises(ConnectionError):
        run(stores, landing, answer(newer))
    assert stores.store.tables["orders"] == before


def test_an_empty_window_has_receipts_of_nothing(stores, landing):
    receipts = run(stores, landing, answer())
    assert {receipt.received for receipt in receipts.values()} == {0}
    assert len(receipts) == 5


def test_the_next_page_is_asked_for_while_the_last_is_being_written(stores, landing, monkeypatch):
    is_second_given = threading.Event()
    write = BatchWriter.write

    class TellsOfItsSecond(Orders):
        async def pages(self, window: Window) -> AsyncIterator[Page]:
            async for page in super().pages(window):
                if page.request.endswith("page=2"):
                    is_second_given.set()
                yield page

    def write_first_after_second_is_given(writer: BatchWriter, page: Page, *, rows: int) -> None:
        if page.request.endswith("page=1"):
            assert is_second_given.wait(10), "the reader waited for the writer"
        write(writer, page, rows=rows)

    monkeypatch.setattr(BatchWriter, "write", write_first_after_second_is_given)
    ingestion = service(stores, landing)
    ingestion._source = TellsOfItsSecond(answer(order(1)), answer(order(2)))
    assert asyncio.run(ingestion.extract(WINDOW)).received == 2
