"""What every repository and receipts must do, whatever they are kept in. Run against each by a subclass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import pytest

from include.entities.customers import CUSTOMERS
from include.entities.entity import Entity, Expectation
from include.entities.events import EVENTS
from include.entities.orders import ORDER_LINES, ORDERS
from include.entities.products import PRODUCTS
from include.entities.weather_daily import WEATHER_DAILY
from include.entities.window import Window
from include.ingestion.drift import KnownField, SchemaChange
from include.ingestion.quality import QualityResult
from include.ingestion.quarantine import Quarantine
from include.ingestion.receipts import Receipts
from include.warehouse.receipts import Receipt
from include.warehouse.repository import Repository
from include.warehouse.upsert import Rejected
from tests.record_digest import digest_of
from tests.warehouse_records import (
    EPOCH,
    NOW,
    WINDOW,
    customer,
    digest,
    event,
    line,
    lines_of,
    order,
    product,
    table_of,
    weather,
)

LATER = NOW + timedelta(hours=1)
COUNTS = ("received", "inserted", "updated", "unchanged", "stale", "duplicate", "quarantined", "deleted")


class Stores(Protocol):
    """A repository, a quarantine and receipts over one store, and a look at what they keep."""

    repository: Repository
    quarantine: Quarantine
    receipts: Receipts

    def kept_receipts(self) -> list[Mapping[str, Any]]: ...

    def kept_rejections(self) -> list[Mapping[str, Any]]: ...

    def kept_schema_changes(self) -> list[SchemaChange]: ...

    def kept_quality_results(self) -> list[tuple[str, str, bool, int, int]]: ...


def upsert(repository: Repository, entity: Entity, records: Sequence[Any], **options: Any) -> list[dict[str, int]]:
    """Merge records and give the counts of the receipts."""
    if entity is ORDERS:
        options["child_rows"] = lines_of(records)
    options = {"window": WINDOW, "source": "shop_api", "now": NOW, **options}
    receipts = repository.upsert(entity, table_of(entity, records), **options)
    return [{name: getattr(receipt, name) for name in COUNTS} for receipt in receipts]


def counts(**given: int) -> dict[str, int]:
    return {**dict.fromkeys(COUNTS, 0), **given}


def known_field(path: str, kinds: set[str], **changes: Any) -> KnownField:
    counts = {"is_added": False, "present": 3, "possible": 4, "first_seen_at": NOW, "last_seen_at": NOW, **changes}
    return KnownField(path=path, kinds=frozenset(kinds), **counts)


def schema_change(field: str, *, kind: str) -> SchemaChange:
    return SchemaChange(
        source="shop_api", entity="orders", field=field, change="retyped", kind=kind, detail=f"{kind}, was string",
        example="5'; DROP TABLE ops.schema_changes; --", row_share=0.25, batch="b", first_seen_at=NOW, last_seen_at=NOW,
    )  # fmt: skip


class WarehouseContract:
    """Subclasses give the fixture `stores`."""

    def test_a_new_record_is_inserted_and_can_be_had_by_its_key(self, stores: Stores) -> None:
        assert upsert(stores.repository, CUSTOMERS, [customer(1, country="GB")]) == [counts(received=1, inserted=1)]
        row = stores.repository.get(CUSTOMERS, (1,))
        assert row is not None
        assert row["country"] == "GB"
        assert (row["source"], row["first_seen_at"], row["ingested_at"]) == ("shop_api", NOW, NOW)

    def test_an_unknown_key_gives_nothing(self, stores: Stores) -> None:
        assert stores.repository.get(CUSTOMERS, (1,)) is None

    def test_a_newer_version_replaces_the_older_and_keeps_when_it_was_first_seen(self, stores: Stores) -> None:
        upsert(stores.repository, PRODUCTS, [product(1, name="cup")])
        done = upsert(stores.repository, PRODUCTS, [product(1, hour=1, name="mug")], now=LATER)
        assert done == [counts(received=1, updated=1)]
        row = stores.repository.get(PRODUCTS, (1,))
        assert row is not None
        assert (row["name"], row["first_seen_at"], row["ingested_at"]) == ("mug", NOW, LATER)

    def test_an_older_version_is_stale_and_changes_nothing(self, stores: Stores) -> None:
        upsert(stores.repository, PRODUCTS, [product(1, hour=1, name="mug")])
        before = stores.repository.get(PRODUCTS, (1,))
        done = upsert(stores.repository, PRODUCTS, [product(1, name="cup")], now=LATER)
        assert done == [counts(received=1, stale=1)]
        assert stores.repository.get(PRODUCTS, (1,)) == before

    def test_an_identical_version_is_unchanged_and_not_written(self, stores: Stores) -> None:
        upsert(stores.repository, PRODUCTS, [product(1)])
        assert upsert(stores.repository, PRODUCTS, [product(1)], now=LATER) == [counts(received=1, unchanged=1)]
        row = stores.repository.get(PRODUCTS, (1,))
        assert row is not None
        assert row["ingested_at"] == NOW

    def test_of_two_that_claim_the_same_instant_one_wins_whatever_the_order(self, stores: Stores) -> None:
        first, second = sorted([product(1, name="cup"), product(1, name="mug")], key=digest)
        assert upsert(stores.repository, PRODUCTS, [second]) == [counts(received=1, inserted=1)]
        assert upsert(stores.repository, PRODUCTS, [first]) == [counts(received=1, stale=1)]
        row = stores.repository.get(PRODUCTS, (1,))
        assert row is not None
        assert row["name"] == second.name

    def test_a_key_met_twice_in_a_batch_is_one_row_and_one_duplicate(self, stores: Stores) -> None:
        done = upsert(stores.repository, PRODUCTS, [product(1, hour=1, name="mug"), product(1, name="cup")])
        assert done == [counts(received=2, inserted=1, duplicate=1)]
        row = stores.repository.get(PRODUCTS, (1,))
        assert row is not None
        assert row["name"] == "mug"

    def test_a_column_that_keeps_its_last_known_value_survives_a_null(self, stores: Stores) -> None:
        upsert(stores.repository, CUSTOMERS, [customer(1, country="GB", registered_at=EPOCH)])
        upsert(stores.repository, CUSTOMERS, [customer(1, hour=1, registered_at=LATER)])
        row = stores.repository.get(CUSTOMERS, (1,))
        assert row is not None
        assert (row["country"], row["registered_at"]) == ("GB", EPOCH)

    def test_an_observed_row_with_the_same_content_is_unchanged_however_often_it_is_read(self, stores: Stores) -> None:
        upsert(stores.repository, WEATHER_DAILY, [weather(0, 0, warmest=9.5)])
        again = upsert(stores.repository, WEATHER_DAILY, [weather(0, 5, warmest=9.5)], now=LATER)
        assert again == [counts(received=1, unchanged=1)]
        corrected = upsert(stores.repository, WEATHER_DAILY, [weather(0, 6, warmest=9.7)], now=LATER)
        assert corrected == [counts(received=1, updated=1)]
        older = upsert(stores.repository, WEATHER_DAILY, [weather(0, 5, warmest=9.5)], now=LATER)
        assert older == [counts(received=1, stale=1)]

    def test_json_objects_are_merged_where_the_entity_says_so(self, stores: Stores) -> None:
        upsert(stores.repository, PRODUCTS, [product(1, attributes={"size": ["S"], "colour": ["red"]})])
        newest, older = ({"size": ["L"]}, {"size": ["M"], "handle": ["left"]})
        batch = [product(1, hour=3, attributes=newest), product(1, hour=2, attributes=older)]
        upsert(stores.repository, PRODUCTS, batch)
        row = stores.repository.get(PRODUCTS, (1,))
        assert row is not None
        assert row["attributes"] == {"size": ["L"], "colour": ["red"], "handle": ["left"]}

    def test_json_comes_back_as_it_was(self, stores: Stores) -> None:
        properties = {"page": "/a'; DROP TABLE shop.events; --", "context": {"n": [1, None, "ü"]}}
        upsert(stores.repository, EVENTS, [event("e1", properties)])
        row = stores.repository.get(EVENTS, ("e1",))
        assert row is not None
        assert row["properties"] == properties

    def test_lines_are_replaced_as_a_set_with_their_order(self, stores: Stores) -> None:
        upsert(stores.repository, ORDERS, [order(1, lines=[line(1, 1), line(1, 2), line(1, 3)])])
        newer = order(1, hour=1, lines=[line(1, 1), line(1, 2, quantity=5), line(1, 4)])
        done = upsert(stores.repository, ORDERS, [newer], now=LATER)
        assert done == [
            counts(received=1, updated=1),
            counts(received=3, inserted=1, updated=2, deleted=1),
        ]
        get = stores.repository.get
        assert get(ORDER_LINES, (1, 3)) is None
        repeated, changed = get(ORDER_LINES, (1, 1)), get(ORDER_LINES, (1, 2))
        assert repeated is not None and changed is not None
        assert repeated["source_updated_at"] == changed["source_updated_at"] == newer.source_updated_at
        assert (repeated["first_seen_at"], repeated["ingested_at"], changed["quantity"]) == (NOW, LATER, 5)

    def test_lines_of_an_older_version_are_stale_with_it(self, stores: Stores) -> None:
        upsert(stores.repository, ORDERS, [order(1, hour=1, lines=[line(1, 1)])])
        done = upsert(stores.repository, ORDERS, [order(1, lines=[line(1, 1), line(1, 2)])])
        assert done == [counts(received=1, stale=1), counts(received=2, stale=2)]
        assert stores.repository.get(ORDER_LINES, (1, 2)) is None

    def test_lines_of_a_version_that_lost_within_the_batch_are_duplicates(self, stores: Stores) -> None:
        batch = [order(1, lines=[line(1, 1), line(1, 2)]), order(1, hour=1, lines=[line(1, 1)])]
        done = upsert(stores.repository, ORDERS, batch)
        assert done == [counts(received=2, inserted=1, duplicate=1), counts(received=3, inserted=1, duplicate=2)]

    def test_what_validation_kept_back_is_part_of_the_account(self, stores: Stores) -> None:
        done = upsert(stores.repository, ORDERS, [order(1)], rejected=Rejected(rows=2, child_rows=3))
        assert done == [counts(received=3, inserted=1, quarantined=2), counts(received=3, quarantined=3)]

    def test_the_receipt_tells_the_oldest_event_time_that_was_touched(self, stores: Stores) -> None:
        batch = [order(1, placed_day=3), order(2, placed_day=1), order(3, placed_day=2)]
        upsert(stores.repository, ORDERS, batch)
        upsert(stores.repository, ORDERS, [order(1, placed_day=3), order(3, hour=1, placed_day=4)])
        upsert(stores.repository, ORDERS, [order(1, placed_day=3)])
        oldest = [each["oldest_event_at"] for each in stores.kept_receipts() if each["entity"] == "orders"]
        assert oldest == [EPOCH + timedelta(days=1), EPOCH + timedelta(days=2), None]

    def test_receipts_of_a_merge_are_kept_with_it(self, stores: Stores) -> None:
        upsert(stores.repository, ORDERS, [order(1, lines=[line(1, 1)])], batch="b")
        kept = [(each["step"], each["entity"], each["received"], each["batch"]) for each in stores.kept_receipts()]
        assert kept == [("upsert", "orders", 1, "b"), ("upsert", "order_lines", 1, "b")]

    def test_what_a_load_is_told_of_itself_is_kept_with_its_receipts(self, stores: Stores) -> None:
        upsert(stores.repository, ORDERS, [order(1)], details={"replay_of": "quarantine"})
        assert [each["details"]["replay_of"] for each in stores.kept_receipts()] == ["quarantine"] * 2

    def test_a_correction_wins_over_what_is_as_old_and_never_over_what_is_newer(self, stores: Stores) -> None:
        first, second = sorted(
            [order(1, lines=[line(1, 1)]), order(1, lines=[line(1, 1), line(1, 2)])], key=digest, reverse=True
        )
        upsert(stores.repository, ORDERS, [first])
        done = upsert(stores.repository, ORDERS, [second], is_correction=True)
        assert done[0] == counts(received=1, updated=1)
        assert (stores.repository.get(ORDER_LINES, (1, 2)) is None) == (len(second.lines) == 1)
        upsert(stores.repository, ORDERS, [order(1, hour=1)])
        assert upsert(stores.repository, ORDERS, [first], is_correction=True)[0] == counts(received=1, stale=1)

    def test_versions_of_many_keys_are_had_at_once(self, stores: Stores) -> None:
        orders = [order(1, lines=[line(1, 1)]), order(2, hour=1)]
        upsert(stores.repository, ORDERS, orders)
        found = stores.repository.versions(ORDERS, [(1,), (2,), (3,)] * 300)
        assert found == {(each.order_id,): (each.source_updated_at, digest(each)) for each in orders}
        lines = stores.repository.versions(ORDER_LINES, [(1, 1), (1, 2)])
        assert lines == {(1, 1): (EPOCH, digest_of(line(1, 1)))}

    @pytest.mark.parametrize(
        ("loaded", "is_covered"),
        [([], False), ([(0, 24)], True), ([(0, 12), (12, 30)], True), ([(0, 11), (12, 24)], False), ([(1, 24)], False)],
    )
    def test_a_window_is_loaded_once_loads_cover_all_of_it(
        self, stores: Stores, loaded: list[tuple[int, int]], is_covered: bool
    ) -> None:
        for start, end in reversed(loaded):
            window = Window(EPOCH + timedelta(hours=start), EPOCH + timedelta(hours=end))
            upsert(stores.repository, ORDERS, [], window=window)
        stores.receipts.write(Receipt(step="validate", entity="orders", window=WINDOW, received=0), now=NOW)
        assert stores.receipts.is_loaded("orders", WINDOW) is is_covered

    def test_a_receipt_is_kept(self, stores: Stores) -> None:
        receipt = Receipt(
            step="extract", entity="orders", window=WINDOW, received=3, passed=3, batch="b", details={"pages": 1}
        )
        stores.receipts.write(receipt, now=NOW)
        (kept,) = stores.kept_receipts()
        assert {name: kept[name] for name in ("step", "entity", "received", "passed", "batch", "details")} == {
            "step": "extract", "entity": "orders", "received": 3, "passed": 3, "batch": "b", "details": {"pages": 1},
        }  # fmt: skip

    def test_outcomes_of_expectations_are_kept(self, stores: Stores) -> None:
        expectation = Expectation("ExpectColumnValuesToNotBeNull", {"column": "order_id"})
        result = QualityResult(entity="orders", expectation=expectation, is_success=False, row_count=9, failed_count=2)
        stores.receipts.keep_quality_results([result], batch="b", window=WINDOW, now=NOW)
        assert stores.kept_quality_results() == [("orders", "ExpectColumnValuesToNotBeNull", False, 9, 2)]

    def test_fields_that_a_source_is_known_to_send_grow_with_every_batch(self, stores: Stores) -> None:
        keep = stores.receipts.keep_fields
        assert stores.receipts.known_fields("shop_api", "orders") == {}
        unknown_yet = known_field("note", set())
        assert keep([unknown_yet, known_field("total", {"string"})], [], source="shop_api", entity="orders") == []
        later = {"first_seen_at": LATER, "last_seen_at": LATER}
        again = [known_field("note", {"string"}, **later), known_field("total", {"number"}, **later, is_added=True)]
        keep(again, [], source="shop_api", entity="orders")
        grown = {"present": 6, "possible": 8, "last_seen_at": LATER}
        assert stores.receipts.known_fields("shop_api", "orders") == {
            "note": known_field("note", {"string"}, **grown),
            "total": known_field("total", {"string"}, **grown),
        }
        assert stores.receipts.known_fields("shop_api", "refunds") == {}
        assert stores.receipts.known_fields("files", "orders") == {}

    def test_a_change_is_new_at_its_first_sighting_alone(self, stores: Stores) -> None:
        keep = stores.receipts.keep_fields
        seen = [schema_change("total", kind="number"), schema_change("total", kind="object")]
        assert keep([], seen[:1], source="shop_api", entity="orders") == seen[:1]
        earlier = [replace(each, first_seen_at=EPOCH, last_seen_at=LATER, row_share=0.5, batch="c") for each in seen]
        assert keep([], earlier, source="shop_api", entity="orders") == earlier[1:]
        assert keep([], seen, source="shop_api", entity="orders") == []
        kept = sorted(stores.kept_schema_changes(), key=lambda each: each.kind)
        assert kept == [replace(each, first_seen_at=EPOCH, last_seen_at=LATER) for each in seen]
