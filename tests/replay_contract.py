"""What a replay of quarantine must do, whatever the store. Run against each by a subclass.

The oracle of most tests: after a fix and a replay, the tables are what the fixed code makes of the same window from the
start, in an empty warehouse in memory.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow.compute as pc
import pytest
from upath import UPath

from include.entities.entity import Entity, RejectionLimit, Rule
from include.entities.orders import ORDER_LINES, ORDERS
from include.entities.refunds import REFUND_LINES, REFUNDS
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.ingestion.quarantine import EVERYTHING, Selection
from include.ingestion.quarantine_replay import QuarantineReplay, Replayed, family_of
from include.sources.settings import SourceSettings
from include.sources.source import Page
from include.sources.woocommerce_orders import WooCommerceOrders
from include.sources.woocommerce_refunds import WooCommerceRefunds
from tests.warehouse_stores import StoresInMemory, StoresInPostgres, service_over

DAY = datetime(2024, 1, 1, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))
NEXT_DAY = Window(WINDOW.end, WINDOW.end + timedelta(days=1))
NOW = datetime(2024, 1, 2, 3, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
_numbers = itertools.count(1)
Stores = StoresInMemory | StoresInPostgres

# Great Expectations takes seconds to import; what a replay does with its verdict has a test of its own.
ANY_SHARE = RejectionLimit(at_least_rows=1_000_000)
LINES = replace(ORDER_LINES, expectations=(), rejection_limit=ANY_SHARE)
STRICT = replace(
    ORDERS,
    expectations=(),
    rejection_limit=ANY_SHARE,
    child=LINES,
    rules=(*ORDERS.rules, Rule("not_too_much", lambda t: pc.less(t["total_amount"], 100), "total is too much")),
)
FIXED = replace(STRICT, rules=ORDERS.rules, child=replace(LINES, rules=()))


class Orders(WooCommerceOrders):
    """The orders of a shop whose answers are given."""

    entity = STRICT

    def __init__(self, *pages: list[dict[str, Any]] | bytes, entity: Entity = STRICT) -> None:
        super().__init__(SourceSettings(name="shop_api", base_url="http://shop"))
        self.given, self.entity = pages, entity

    async def pages(self, window: Window) -> AsyncIterator[Page]:
        for number, rows in enumerate(self.given):
            body = rows if isinstance(rows, bytes) else msgspec.json.encode(rows)
            yield Page(body=body, request=f"/?page={number}", received_at=NOW, context=self.context)

    context: Mapping[str, Any] = {}


class Refunds(WooCommerceRefunds):
    """Refunds need to know the shop's currency, which the page says beside them."""

    entity = replace(REFUNDS, expectations=(), child=replace(REFUND_LINES, expectations=()))

    def __init__(self, *pages: list[dict[str, Any]], entity: Entity | None = None) -> None:
        super().__init__(SourceSettings(name="shop_api", base_url="http://shop"))
        self.given, self.entity = pages, entity or self.entity

    async def pages(self, window: Window) -> AsyncIterator[Page]:
        for rows in self.given:
            yield Page(body=msgspec.json.encode(rows), request="/", received_at=NOW, context={"currency": "GBP"})


def line(number: int, *, quantity: Any = 1, **changes: Any) -> dict[str, Any]:
    return {"id": number, "name": "cup", "quantity": quantity, "total": "5.00", **changes}


def order(key: int, *lines: dict[str, Any], hour: int = 9, **changes: Any) -> dict[str, Any]:
    return {
        "id": key, "number": str(key), "status": "processing", "currency": "GBP", "total": "5.00",
        "date_created_gmt": f"2024-01-01T0{key % 9}:00:00", "date_modified_gmt": f"2024-01-01T{hour:02}:00:00",
        "line_items": list(lines) or [line(key * 10)], **changes,
    }  # fmt: skip


def ingest(stores: Stores, landing: Landing, source: Any, window: Window = WINDOW, *, now: datetime = NOW) -> None:
    asyncio.run(service_over(stores, source, landing, now=now, run="scheduled").run(window))


def replay(
    stores: Stores, landing: Landing, source: Any, selection: Selection = EVERYTHING, *, now: datetime = LATER
) -> list[Replayed]:
    replays = QuarantineReplay(
        stores.repository, stores.quarantine, stores.receipts, lambda: now,
        landing=landing, source_of=lambda entity: source, run="replay",
    )  # fmt: skip
    return list(replays.run(selection))


def outcome(replayed: list[Replayed]) -> list[tuple[int, int, int, int]]:
    return [(each.loaded, each.superseded, each.failing, each.lost) for each in replayed]


def new_landing() -> Landing:
    return Landing(UPath(f"memory://replay-{next(_numbers)}"))


def from_scratch(*loads: tuple[Any, Window]) -> StoresInMemory:
    """What the source's code of today makes of these windows."""
    stores = StoresInMemory()
    for source, window in loads:
        ingest(stores, new_landing(), source, window)
    return stores


def assert_same_tables(stores: Stores, expected: Stores, entity: Entity = ORDERS) -> None:
    """A line that did not change keeps the version of its order that brought it; which one hangs on the way."""
    assert entity.child is not None
    assert stores.kept_rows(entity) == expected.kept_rows(entity)
    found, wanted = ({key: {**row, "source_updated_at": None} for key, row in each.kept_rows(entity.child).items()}
                     for each in (stores, expected))  # fmt: skip
    assert found == wanted


def kept(stores: Stores) -> dict[tuple[str, str], str | None]:
    return {(each["entity"], each["landing_position"]): each["resolution"] for each in stores.kept_rejections()}


def replays_of(stores: Stores) -> list[Mapping[str, Any]]:
    return [each for each in stores.kept_receipts() if each["details"].get("replay_of") == "quarantine"]


SHOP = [
    [order(1), order(2, total="500.00"), order(3, line(31, quantity=-1), line(32))],
    [order(4, line(41, quantity=-1)), order(5, line(51, quantity=-1), total="700.00"), order(6)],
]


class ReplayContract:
    """Subclasses give the fixture `stores`."""

    @pytest.fixture
    def landing(self) -> Landing:
        return new_landing()

    def test_after_a_rule_was_relaxed_a_replay_gives_what_the_window_would_have_given(self, stores, landing):
        ingest(stores, landing, Orders(*SHOP))
        assert set(stores.kept_rows(ORDERS)) == {(1,), (3,), (6,)}
        assert len(stores.kept_rejections()) == 7
        (done,) = replay(stores, landing, Orders(entity=FIXED))
        assert outcome([done]) == [(7, 0, 0, 0)] and done.is_complete
        assert_same_tables(stores, from_scratch((Orders(*SHOP, entity=FIXED), WINDOW)))
        assert set(kept(stores).values()) == {"loaded"}
        assert {each["resolved_at"] for each in stores.kept_rejections()} == {LATER}

    def test_the_receipts_of_a_replay_close_and_tell_what_features_repair_from(self, stores, landing):
        ingest(stores, landing, Orders(*SHOP))
        (done,) = replay(stores, landing, Orders(entity=FIXED))
        counted = [
            (each["entity"], each["received"], each["inserted"], each["updated"], each["unchanged"])
            for each in replays_of(stores)
        ]
        assert counted == [("orders", 3, 3, 0, 0), ("order_lines", 3, 3, 0, 0), ("orders", 1, 0, 1, 0),
                           ("order_lines", 2, 1, 0, 1)]  # fmt: skip
        assert [each["oldest_event_at"] for each in replays_of(stores)[::2]] == [
            DAY + timedelta(hours=2), DAY + timedelta(hours=3)
        ]  # fmt: skip
        assert all((each["step"], each["window_start"]) == ("upsert", WINDOW.start) for each in replays_of(stores))
        assert [str(each) for each in done.receipts if each.quarantined] == []

    def test_a_parser_that_was_mended_lets_its_rows_in(self, stores, landing, monkeypatch):
        pages = [[order(1), order(2, total="5,00")]]
        ingest(stores, landing, Orders(*pages))
        assert outcome(replay(stores, landing, Orders())) == [(0, 0, 2, 0)]
        import include.sources.woocommerce_orders as wire

        monkeypatch.setattr(wire, "money", lambda text: wire_money(text.replace(",", ".")))
        assert outcome(replay(stores, landing, Orders())) == [(2, 0, 0, 0)]
        assert_same_tables(stores, from_scratch((Orders(*pages), WINDOW)))

    def test_a_second_replay_does_nothing(self, stores, landing):
        ingest(stores, landing, Orders(*SHOP))
        replay(stores, landing, Orders(entity=FIXED))
        before = (stores.kept_rejections(), stores.kept_receipts())
        assert replay(stores, landing, Orders(entity=FIXED), now=LATER + timedelta(hours=1)) == []
        assert (stores.kept_rejections(), stores.kept_receipts()) == before

    def test_rows_that_still_fail_keep_their_place_with_the_newest_reason(self, stores, landing):
        ingest(stores, landing, Orders([order(1), order(2, total="500.00")]))
        stricter = Rule("not_much", lambda t: pc.less(t["total_amount"], 50), "total is more than we ship")
        replayed = replay(stores, landing, Orders(entity=replace(STRICT, rules=(stricter,))))
        assert outcome(replayed) == [(0, 0, 2, 0)] and not replayed[0].is_complete
        (found,) = [each for each in stores.kept_rejections() if each["entity"] == "orders"]
        assert (found["rule_id"], found["reason"]) == ("not_much", "total is more than we ship")
        assert (found["rejected_at"], found["landing_position"], found["resolution"]) == (NOW, "1", None)
        counted = [(each["entity"], each["received"], each["quarantined"]) for each in replays_of(stores)]
        assert counted == [("orders", 1, 1), ("order_lines", 1, 1)]

    def test_a_line_that_only_now_breaks_a_rule_goes_to_quarantine_and_is_not_lost(self, stores, landing):
        ingest(stores, landing, Orders([order(2, line(21), line(22, quantity=3), total="500.00")]))
        few = Rule("few", lambda t: pc.less(t["quantity"], 3), "more than two")
        replayed = replay(stores, landing, Orders(entity=replace(FIXED, child=replace(LINES, rules=(few,)))))
        assert outcome(replayed) == [(2, 0, 1, 0)]
        assert kept(stores) == {("orders", "0"): "loaded", ("order_lines", "0.0"): "loaded",
                                ("order_lines", "0.1"): None}  # fmt: skip
        assert outcome(replay(stores, landing, Orders(entity=FIXED))) == [(1, 0, 0, 0)]
        assert set(stores.kept_rows(ORDER_LINES)) == {(2, 21), (2, 22)}

    def test_a_newer_version_that_arrived_meanwhile_stays_and_the_row_is_superseded(self, stores, landing):
        old = [order(2, total="500.00"), order(3, line(31, quantity=-1), line(32))]
        new = [order(2, hour=20, total="6.00"), order(3, line(32), hour=20)]
        ingest(stores, landing, Orders(old))
        ingest(stores, landing, Orders(new), NEXT_DAY)
        assert outcome(replay(stores, landing, Orders(entity=FIXED))) == [(0, 3, 0, 0)]
        assert set(kept(stores).values()) == {"superseded"}
        assert {each["stale"] for each in replays_of(stores) if each["entity"] == "orders"} == {1}
        expected = from_scratch((Orders(old, entity=FIXED), WINDOW), (Orders(new, entity=FIXED), NEXT_DAY))
        assert_same_tables(stores, expected)

    def test_of_two_versions_in_quarantine_the_newer_is_loaded_and_the_older_superseded(self, stores, landing):
        pages = [[order(2, total="500.00"), order(2, hour=10, total="600.00")]]
        ingest(stores, landing, Orders(*pages))
        assert outcome(replay(stores, landing, Orders(entity=FIXED))) == [(2, 2, 0, 0)]
        assert_same_tables(stores, from_scratch((Orders(*pages, entity=FIXED), WINDOW)))

    def test_what_a_load_brought_in_meanwhile_is_found_there(self, stores, landing):
        pages = [[order(1), order(2, total="500.00"), order(4, line(41, quantity=-1))]]
        ingest(stores, landing, Orders(*pages))
        ingest(stores, landing, Orders(*pages, entity=FIXED), now=LATER)
        before = stores.kept_rows(ORDERS), stores.kept_rows(ORDER_LINES)
        assert outcome(replay(stores, landing, Orders(entity=FIXED))) == [(4, 0, 0, 0)]
        assert (stores.kept_rows(ORDERS), stores.kept_rows(ORDER_LINES)) == before
        assert sum(each["inserted"] + each["updated"] for each in replays_of(stores)) == 0

    def test_only_what_is_selected_is_tried_and_what_came_with_it(self, stores, landing):
        ingest(stores, landing, Orders(*SHOP))
        ingest(stores, landing, Orders([order(7, total="800.00")]), NEXT_DAY)
        mended = Orders(entity=FIXED)
        rule = Selection(entities=family_of("orders"), rule_id="not_too_much", end=WINDOW.end)
        assert outcome(replay(stores, landing, mended, rule)) == [(4, 0, 0, 0)]
        assert set(stores.kept_rows(ORDERS)) == {(1,), (2,), (3,), (5,), (6,)}
        lines = Selection(entities=family_of("order_lines"), rule_id="quantity_positive")
        assert outcome(replay(stores, landing, mended, lines)) == [(3, 0, 0, 0)]
        assert outcome(replay(stores, landing, mended, Selection(start=NEXT_DAY.start))) == [(2, 0, 0, 0)]
        assert replay(stores, landing, mended) == []

    def test_every_window_is_a_transaction_of_its_own(self, stores, landing, monkeypatch):
        ingest(stores, landing, Orders([order(2, total="500.00")]))
        ingest(stores, landing, Orders([order(7, total="800.00")]), NEXT_DAY)
        upsert = stores.repository.upsert

        def fails_on_the_second(*arguments: Any, window: Window, **options: Any) -> Any:
            receipts = upsert(*arguments, window=window, **options)
            if window == NEXT_DAY:
                raise ConnectionError("the server is gone")
            return receipts

        with monkeypatch.context() as broken:
            broken.setattr(stores.repository, "upsert", fails_on_the_second)
            with pytest.raises(ConnectionError):
                replay(stores, landing, Orders(entity=FIXED))
        assert set(stores.kept_rows(ORDERS)) == {(2,)}
        assert (
            sorted(map(str, (each["resolution"] for each in stores.kept_rejections()))) == ["None"] * 2 + ["loaded"] * 2
        )
        assert outcome(replay(stores, landing, Orders(entity=FIXED))) == [(2, 0, 0, 0)]

    def test_a_window_that_was_never_loaded_is_left_to_its_load(self, stores, landing):
        ingestion = service_over(stores, Orders(*SHOP), landing, now=NOW)
        batch = asyncio.run(ingestion.extract(WINDOW)).batch
        assert batch is not None
        ingestion.validate(WINDOW, batch=batch)
        (done,) = replay(stores, landing, Orders(entity=FIXED))
        assert outcome([done]) == [(0, 0, 7, 0)]
        assert "has not been loaded" in done.problems[0]
        assert stores.kept_rows(ORDERS) == {} and replays_of(stores) == []

    def test_rows_of_a_connection_that_is_no_more_are_told_and_kept(self, stores, landing):
        ingest(stores, landing, Orders(*SHOP))
        renamed = Orders(entity=FIXED)
        renamed.name = "new_shop"
        (done,) = replay(stores, landing, renamed)
        assert outcome([done]) == [(0, 0, 7, 0)] and "`shop_api`" in done.problems[0]

    def test_a_row_whose_landing_is_gone_is_tried_as_kept_if_it_is_kept_whole(self, stores, landing):
        email = {"billing": {"email": "ada@example.com", "country": "GB"}}
        pages = [
            [order(2, total="500.00"), order(3, total="600.00", **email), order(4, line(41, quantity=-1), line(42))]
        ]
        ingest(stores, landing, Orders(*pages))
        for batch in list(landing.batches()):
            landing.remove(batch, "manifest.json")
        (done,) = replay(stores, landing, Orders(entity=FIXED))
        assert outcome([done]) == [(2, 0, 0, 3)]
        assert set(stores.kept_rows(ORDERS)) == {(2,), (4,)}
        assert [problem.partition(":")[0] for problem in done.problems] == ["origin gone"]
        assert kept(stores)["orders", "1"] is None and kept(stores)["orders", "0"] == "loaded"

    def test_a_row_that_needs_what_its_page_said_is_not_tried_without_it(self, stores, landing):
        refund = {"id": 1, "amount": "5.00", "date_created_gmt": "2024-01-01T08:00:00", "parent_id": 1}
        ingest(stores, landing, Refunds([{**refund, "amount": "-5.00"}]))
        mended = replace(Refunds.entity, rules=())
        for batch in list(landing.batches()):
            landing.remove(batch, "manifest.json")
        assert outcome(replay(stores, landing, Refunds(entity=mended))) == [(0, 0, 0, 1)]

    def test_the_pages_context_is_there_when_its_row_is_tried(self, stores, landing):
        refund = {"id": 1, "amount": "-5.00", "date_created_gmt": "2024-01-01T08:00:00", "parent_id": 1}
        ingest(stores, landing, Refunds([refund]))
        mended = replace(Refunds.entity, rules=())
        assert outcome(replay(stores, landing, Refunds(entity=mended))) == [(1, 0, 0, 0)]
        assert_same_tables(stores, from_scratch((Refunds([refund], entity=mended), WINDOW)), REFUNDS)

    def test_a_row_that_moved_in_its_page_is_found_and_one_that_was_taken_out_is_told(
        self, stores, landing, monkeypatch
    ):
        ingest(stores, landing, Orders([order(1), order(2, total="500.00"), order(3, total="600.00")]))
        page = Landing.page

        def without_first_two(self: Landing, batch: str, file: str) -> Page:
            whole = page(self, batch, file)
            return replace(whole, body=msgspec.json.encode(msgspec.json.decode(whole.body)[2:]))

        monkeypatch.setattr(Landing, "page", without_first_two)
        (done,) = replay(stores, landing, Orders(entity=FIXED))
        assert outcome([done]) == [(2, 0, 0, 2)]
        assert set(stores.kept_rows(ORDERS)) == {(1,), (3,)}

    def test_each_page_is_fetched_once(self, stores, landing, monkeypatch):
        ingest(stores, landing, Orders(*SHOP))
        fetched, page = [], Landing.page

        def counting(self: Landing, batch: str, file: str) -> Page:
            fetched.append(file)
            return page(self, batch, file)

        monkeypatch.setattr(Landing, "page", counting)
        replay(stores, landing, Orders(entity=FIXED))
        assert sorted(fetched) == ["page-00001.zst", "page-00002.zst"]

    def test_rows_with_hostile_text_are_replayed_to_the_letter(self, stores, landing):
        name = "'); DROP TABLE shop.orders; -- \u2028 \\u0000"
        pages = [[order(2, line(21, name=name), total="500.00")]]
        ingest(stores, landing, Orders(*pages))
        replay(stores, landing, Orders(entity=FIXED))
        assert stores.kept_rows(ORDER_LINES)[2, 21]["name"] == name


def wire_money(text: str) -> Any:
    from include.sources.parsing import money

    return money(text)
