"""What every quarantine must do, whatever it is kept in. Run against each by a subclass, beside `WarehouseContract`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from include.entities.customers import CUSTOMERS
from include.entities.window import Window
from include.ingestion.quarantine import Origin, Resolution, Selection
from include.sources.source import Rejection
from include.warehouse.receipts import Receipt
from tests.warehouse_contract import LATER, Stores, upsert
from tests.warehouse_records import (
    NOW,
    WINDOW,
    customer,
)


class Refused(Exception):
    """Raised inside a transaction to end it."""


def rejection(
    payload: bytes = b'{"id": 1}', *, entity: str = "orders", rule: str = "shape", position: str = "0"
) -> Rejection:
    return Rejection(entity=entity, rule_id=rule, reason="it does not fit", payload=payload, position=position)


ROWS = [b'{"id": %d, "lines": [1, 2, 3]}' % number for number in range(8)]
ORIGIN = Origin(source="shop_api", batch="shop_api/orders/w/b", window=WINDOW, run="scheduled", now=NOW)
NEXT_WINDOW = Window(WINDOW.end, WINDOW.end + timedelta(days=1))
LATER_ORIGIN = Origin(source="shop_api", batch="shop_api/orders/w/later", window=NEXT_WINDOW, run="manual", now=LATER)


def reject(stores: Stores, *rejections: Rejection, origin: Origin = ORIGIN, context: Mapping[str, Any] = {}) -> None:
    with stores.quarantine.intake(origin) as intake:
        intake.add("page-00001.zst", rejections, rows=ROWS, context=context)


def resolve(stores: Stores, how: Resolution, *, rows: int = 9) -> None:
    """Resolve open orders of the window, as an upsert of it would."""
    with stores.repository.transaction():
        taken = stores.quarantine.take_open(
            source="shop_api", window=WINDOW, entities=["orders"], rule_id=None, family=["orders"]
        )
        receipt = Receipt(step="upsert", entity="orders", window=WINDOW, received=0)
        stores.receipts.write(receipt, now=LATER)
        stores.quarantine.resolve(taken[:rows], as_=how, receipt=receipt, now=LATER)


class QuarantineContract:
    """Subclasses give the fixture `stores`."""

    def test_a_rejected_row_is_kept_with_reason_and_origin(self, stores: Stores) -> None:
        with stores.quarantine.intake(ORIGIN) as intake:
            intake.add("page-00001.zst", [rejection(position="4.2")], rows=ROWS, context={})
        (kept,) = stores.kept_rejections()
        expected = {
            "entity": "orders", "rule_id": "shape", "reason": "it does not fit", "payload": '{"id": 1}',
            "landing_file": "shop_api/orders/w/b/page-00001.zst", "landing_position": "4.2", "source": "shop_api",
            "window_start": WINDOW.start, "window_end": WINDOW.end, "rejected_at": NOW,
        }  # fmt: skip
        assert {name: kept[name] for name in expected} == expected

    def test_the_same_payload_is_two_rows_in_one_batch_and_none_more_in_the_next_run(self, stores: Stores) -> None:
        for _ in range(2):
            reject(stores, rejection(), rejection())
        assert sorted(each["occurrence"] for each in stores.kept_rejections()) == [1, 2]

    def test_the_same_line_in_two_orders_or_row_about_two_places_is_two_rows(self, stores: Stores) -> None:
        reject(stores, rejection(position="1.0"))
        reject(stores, rejection(position="2.0"))
        reject(stores, rejection(), context={"name": "London"})
        reject(stores, rejection(), context={"name": "Oslo"})
        assert [each["occurrence"] for each in stores.kept_rejections()] == [1] * 4

    def test_a_row_rejected_again_has_the_newest_reason_and_origin_and_is_still_one_row(self, stores: Stores) -> None:
        reject(stores, rejection())
        reject(stores, rejection(rule="money", position="3"), origin=LATER_ORIGIN)
        (kept,) = stores.kept_rejections()
        expected = {
            "rule_id": "money", "batch": "shop_api/orders/w/later", "landing_position": "3", "run_id": "manual",
            "landing_file": "shop_api/orders/w/later/page-00001.zst", "window_start": NEXT_WINDOW.start,
            "rejected_at": NOW, "last_rejected_at": LATER, "resolved_at": None,
        }  # fmt: skip
        assert {name: kept[name] for name in expected} == expected

    def test_the_same_batch_rejected_again_writes_nothing(self, stores: Stores) -> None:
        reject(stores, rejection())
        before = stores.kept_rejections()
        reject(stores, rejection(), origin=replace(ORIGIN, now=LATER, run="another"))
        assert stores.kept_rejections() == before

    def test_a_resolved_row_says_when_and_how_and_is_open_again_once_rejected_again(self, stores: Stores) -> None:
        reject(stores, rejection())
        resolve(stores, "loaded")
        (kept,) = stores.kept_rejections()
        assert (kept["resolved_at"], kept["resolution"]) == (LATER, "loaded")
        assert stores.quarantine.open_windows() == []
        reject(stores, rejection(), origin=replace(ORIGIN, now=LATER))
        (kept,) = stores.kept_rejections()
        assert (kept["resolved_at"], kept["resolution"], kept["rejected_at"]) == (None, None, NOW)

    def test_counts_tell_by_rule_what_is_open_and_what_is_dealt_with(self, stores: Stores) -> None:
        reject(stores, rejection(), rejection(b'{"id": 2}'))
        resolve(stores, "superseded", rows=1)
        reject(stores, rejection(b'{"id": 3}', rule="money"), origin=LATER_ORIGIN)
        counted = [
            (each.entity, each.rule_id, each.open_count, each.resolved_count, each.reason, each.first_rejected_at)
            for each in stores.quarantine.counts()
        ]
        assert counted == [
            ("orders", "money", 1, 0, "it does not fit", LATER),
            ("orders", "shape", 1, 1, "it does not fit", NOW),
        ]

    @pytest.mark.parametrize(
        ("selection", "found"),
        [
            (Selection(), {"0", "1.0", "2"}),
            (Selection(entities=frozenset({"orders"})), {"0", "2"}),
            (Selection(entities=frozenset({"orders"}), rule_id="money"), {"2"}),
            (Selection(source="elsewhere"), set()),
            (Selection(start=WINDOW.end), {"2"}),
            (Selection(end=WINDOW.end), {"0", "1.0"}),
            (Selection(start=WINDOW.start, end=WINDOW.end + timedelta(seconds=1)), {"0", "1.0", "2"}),
        ],
    )
    def test_open_rows_are_found_by_entity_rule_source_and_window(
        self, stores: Stores, selection: Selection, found: set[str]
    ) -> None:
        reject(stores, rejection(), rejection(b"line", entity="order_lines", position="1.0"))
        reject(stores, rejection(b'{"id": 2}', rule="money", position="2"), origin=LATER_ORIGIN)
        rows = stores.quarantine.rows(selection, limit=9)
        assert {row.position for row, _ in rows} == found
        assert all(row.file == "page-00001.zst" and payload for row, payload in rows)
        windows = {(each.entity, each.window) for each in stores.quarantine.open_windows(selection)}
        assert windows == {(row.entity, row.window) for row, _ in rows}

    def test_rows_are_shown_up_to_a_limit_the_newest_first(self, stores: Stores) -> None:
        reject(stores, rejection())
        reject(stores, rejection(b'{"id": 2}', position="1"), origin=LATER_ORIGIN)
        assert [row.position for row, _ in stores.quarantine.rows(limit=1)] == ["1"]

    def test_what_came_in_the_same_raw_row_is_taken_with_it_whatever_its_rule(self, stores: Stores) -> None:
        line = {"entity": "order_lines", "payload": b"line"}
        reject(stores, rejection(ROWS[1], position="1"), rejection(**line, rule="parent_rejected", position="1.0"))
        reject(stores, rejection(**line, rule="parent_rejected", position="2.0"))
        taken = stores.quarantine.take_open(
            source="shop_api", window=WINDOW, entities=["orders"], rule_id="shape", family=["orders", "order_lines"]
        )
        assert [(row.entity, row.position) for row in taken] == [("order_lines", "1.0"), ("orders", "1")]
        assert [stores.quarantine.payload(row) for row in taken] == ["line", ROWS[1].decode()]

    @pytest.mark.parametrize(
        ("payload", "shown"),
        [
            (b'{"email": "a@b.org", "id": 1}', '{"email": "(personal data, see landing)", "id": 1}'),
            (b"\xff\x00 broken", "\\xff\\x00 broken"),
        ],
    )
    def test_a_payload_is_shown_without_personal_data_and_as_storable_text(
        self, stores: Stores, payload: bytes, shown: str
    ) -> None:
        with stores.quarantine.intake(ORIGIN) as intake:
            intake.add("page-00001.zst", [rejection(payload)], rows=ROWS, context={})
        assert [each["payload"] for each in stores.kept_rejections()] == [shown]

    def test_nothing_added_keeps_nothing(self, stores: Stores) -> None:
        with stores.quarantine.intake(ORIGIN) as intake:
            intake.add("page-00001.zst", [], rows=ROWS, context={})
        assert stores.kept_rejections() == []

    def test_a_transaction_that_fails_leaves_nothing_of_any_of_them(self, stores: Stores) -> None:
        upsert(stores.repository, CUSTOMERS, [customer(1, country="GB")])
        before = (stores.kept_receipts(), stores.repository.get(CUSTOMERS, (1,)))
        with pytest.raises(Refused), stores.repository.transaction():
            upsert(stores.repository, CUSTOMERS, [customer(1, hour=1, country="DE"), customer(2)])
            with stores.quarantine.intake(ORIGIN) as intake:
                intake.add("page-00001.zst", [rejection()], rows=ROWS, context={})
            stores.receipts.write(Receipt(step="extract", entity="orders", window=WINDOW, received=0), now=NOW)
            raise Refused
        assert (stores.kept_receipts(), stores.repository.get(CUSTOMERS, (1,))) == before
        assert stores.repository.get(CUSTOMERS, (2,)) is None
        assert stores.kept_rejections() == []
