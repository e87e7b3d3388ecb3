"""Schema drift, over the in-memory doubles: what is told of a source that changes, and what stops a load."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.entity import RejectionLimit
from include.entities.orders import ORDERS
from include.entities.window import Window
from include.ingestion.drift import FieldWatch
from include.ingestion.drift_example import HIDDEN, example_of
from include.ingestion.drift_tally import MOST_FIELDS, FieldTally
from include.ingestion.errors import NotValidated, RequiredFieldVanished, TooManyRejected
from include.sources.source import Page
from tests.properties import examples
from tests.replay_contract import LINES, NEXT_DAY, NOW, STRICT, WINDOW, Orders, ingest, line, new_landing, order
from tests.unit.source_pages import source
from tests.warehouse_stores import StoresInMemory, service_over

LENIENT = replace(STRICT, rules=())


@pytest.fixture
def stores() -> StoresInMemory:
    return StoresInMemory()


def load(stores: StoresInMemory, *pages: list[dict[str, Any]], window: Window = WINDOW, **options: Any) -> None:
    ingest(stores, new_landing(), Orders(*pages, entity=options.pop("entity", LENIENT)), window, **options)


def changes(stores: StoresInMemory) -> dict[tuple[str, str], Any]:
    return {(each.field, each.change): each for each in stores.store.schema_changes.values()}


def shop(count: int = 4, **fields: Any) -> list[dict[str, Any]]:
    return [order(number, **fields) for number in range(1, count + 1)]


BILLED = {"billing": {"country": "GB", "city": "Hull"}, "note_count": 2}


def test_nothing_is_told_of_the_first_batch_and_nothing_of_one_like_it(stores):
    load(stores, shop(**BILLED))
    load(stores, shop(**BILLED), window=NEXT_DAY)
    assert changes(stores) == {}
    known = stores.receipts.known_fields("shop_api", "orders")
    assert known["total"].kinds == {"string"} and known["total"].present == known["total"].possible == 8
    assert known["billing.country"].kinds == {"string"} and known["line_items[].quantity"].kinds == {"number"}


def test_an_empty_window_teaches_nothing_and_misses_nothing(stores):
    load(stores, [])
    assert stores.store.source_fields == {}
    load(stores, shop())
    load(stores, [], window=NEXT_DAY)
    assert changes(stores) == {}


def test_an_added_field_is_told_once_in_the_log_and_breaks_nothing(stores, caplog):
    load(stores, shop())
    with caplog.at_level(logging.WARNING):
        load(stores, [*shop(3), order(4, gift_wrap=True)], window=NEXT_DAY)
    told = changes(stores)["gift_wrap", "added"]
    assert (told.example, told.row_share, told.first_seen_at, told.detail) == (
        "true",
        0.25,
        NOW,
        "boolean, unknown before",
    )
    assert set(changes(stores)) == {("gift_wrap", "added")}
    assert set(stores.store.tables["orders"]) == {(1,), (2,), (3,), (4,)}
    lines = [each.getMessage() for each in caplog.records if "schema_change" in each.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith(
        "schema_change entity=orders field=gift_wrap change=added source=shop_api row_share=0.25"
    )
    caplog.clear()
    load(stores, shop(gift_wrap=False), window=NEXT_DAY)
    assert "schema_change" not in caplog.text


def test_a_change_has_a_first_and_a_last_sighting(stores, monkeypatch):
    load(stores, shop())
    for days, rows in enumerate([shop(colour="red"), shop(colour="red"), shop()], start=1):
        monkeypatch.setattr("tests.replay_contract.NOW", NOW + timedelta(days=days))
        load(stores, rows, window=NEXT_DAY)
    told = changes(stores)["colour", "added"]
    assert (told.first_seen_at, told.last_seen_at) == (NOW + timedelta(days=1), NOW + timedelta(days=2))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": "1"}, {"a": 1}, {("a", "number")}),
        ({"a": {"b": 1}}, {"a": {"b": "1"}}, {("a.b", "string")}),
        ({"a": {"b": 1}}, {"a": [1]}, {("a", "array")}),
        ({"a": True}, {"a": "yes"}, {("a", "string")}),
        ({"a": 1}, {"a": 1.5}, set()),
        ({"a": 1}, {"a": None}, set()),
        ({"a": None}, {"a": 1}, set()),
        ({"a": []}, {"a": [{"b": 1}]}, set()),
        ({"a": [{"b": 1}]}, {"a": [{"b": "1"}]}, {("a[].b", "string")}),
        ({"a.b": 1}, {"a.b": "1"}, {("a.b", "string")}),
    ],
)
def test_a_value_of_another_kind_is_told_and_null_is_none_and_a_number_is_a_number(stores, before, after, told):
    load(stores, shop(**before))
    load(stores, shop(**after), window=NEXT_DAY)
    found = {(each.field, each.kind) for each in changes(stores).values() if each.change == "retyped"}
    assert found == told
    assert {each.change for each in changes(stores).values()} <= {"retyped", "missing"}


def test_a_retyped_field_of_few_rows_is_told_with_their_share_and_these_rows_are_quarantined(stores):
    load(stores, shop(8))
    load(stores, [*shop(7), order(8, number=8)], window=NEXT_DAY)
    told = changes(stores)["number", "retyped"]
    assert (told.kind, told.detail, told.example, told.row_share) == ("number", "number, was string", "8", 0.125)
    assert [each["rule_id"] for each in stores.kept_rejections() if each["entity"] == "orders"] == ["shape"]


def test_what_lies_inside_a_retyped_value_is_neither_told_nor_missed_later(stores):
    load(stores, shop(4, extra="text"))
    load(stores, shop(4, extra={"inside": 1}), window=NEXT_DAY)
    load(stores, shop(4, extra="text"), window=NEXT_DAY)
    assert set(changes(stores)) == {("extra", "retyped")}


def test_a_field_that_every_row_had_is_missed_until_it_is_back(stores):
    load(stores, shop(**BILLED))
    for _ in range(2):
        load(stores, shop(), window=NEXT_DAY)
    told = changes(stores)
    assert set(told) == {("billing", "missing"), ("note_count", "missing")}, "what lies inside goes with it"
    assert told["note_count", "missing"].row_share == 1.0
    assert stores.receipts.known_fields("shop_api", "orders")["note_count"].possible == 4


def test_a_field_that_only_some_rows_have_is_not_missed(stores):
    load(stores, [*shop(3), order(4, coupon="X")])
    load(stores, shop(), window=NEXT_DAY)
    assert changes(stores) == {}


scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab")
)
names = st.sampled_from(["a", "b", "c", "\n"])
inner = st.dictionaries(
    names, scalars | st.lists(scalars, max_size=2) | st.just({}) | st.just({"deep": [1]}), max_size=3
)
row_texts = st.one_of(
    st.dictionaries(names, scalars | inner | st.lists(scalars | inner, max_size=3)).map(msgspec.json.encode),
    st.sampled_from(
        [b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"a": "\xff"}', b'{"a": 1, "a": []}', b'{"a": [{"b": 1}, {"b": -}]}',
         b"[]", b"{", b"", b'{"a": {"b": 10000000000000000000000}}', b'{"a": ' + b"[" * 3000 + b"]" * 3000 + b"}"]
    ),
)  # fmt: skip


@examples(300)
@given(rows=st.lists(st.tuples(row_texts, st.sampled_from([0.25, 1.0, 3.0])), max_size=12))
def test_a_row_that_shows_nothing_new_is_counted_as_if_it_did(rows):
    class Slowly(FieldTally):
        def _has_known_fields_only(self, row: bytes, weight: float) -> bool:
            return False

    tally, slow = FieldTally(), Slowly()
    for raw, weight in rows * 2:
        tally.look(raw, weight)
        slow.look(raw, weight)
    assert tally.rows.weight == slow.rows.weight
    assert list(tally.fields()) == list(slow.fields())


def test_an_older_batch_loaded_again_does_not_miss_what_came_later(stores, monkeypatch):
    load(stores, shop())
    monkeypatch.setattr("tests.replay_contract.NOW", NOW + timedelta(days=9))
    load(stores, shop(20, colour="red"), window=NEXT_DAY)
    monkeypatch.setattr("tests.replay_contract.NOW", NOW + timedelta(days=3))
    load(stores, shop(), window=NEXT_DAY)
    assert set(changes(stores)) == {("colour", "added")}


@pytest.mark.parametrize("field", ["total", "currency", "number", "id"])
@pytest.mark.parametrize("count", [1, 4])
def test_a_vanished_required_field_stops_the_load_also_of_a_small_window(stores, field, count):
    load(stores, shop(1))
    rows = shop(count)
    for each in rows:
        del each[field]
    landing = new_landing()
    with pytest.raises(
        RequiredFieldVanished, match=rf"orders: .* `{field}` in 100.0% of the rows .*Nothing was loaded"
    ):
        ingest(stores, landing, Orders(rows, entity=LENIENT), NEXT_DAY)
    (batch,) = landing.batches()
    with pytest.raises(NotValidated):
        service_over(stores, Orders(), landing, now=NOW).load(NEXT_DAY, batch=batch)
    assert len([each for each in stores.kept_rejections() if each["entity"] == "orders"]) == count
    assert changes(stores)[field, "missing"].row_share == 1.0


def test_a_vanished_field_of_lines_stops_the_load_and_is_named_with_its_place(stores):
    good, bad = line(1), {"id": 2, "name": "cup", "quantity": 1}
    with pytest.raises(RequiredFieldVanished, match=r"`line_items\[\].total` in 66.7% of the rows"):
        load(stores, [order(1, good, bad, {**bad, "id": 3})])


def test_one_bad_line_of_a_kind_that_is_rare_is_quarantined_alone(stores):
    load(stores, [*shop(8), order(9, fee_lines=[{"id": 91, "name": "gift wrap"}])])
    assert len(stores.store.tables["orders"]) == 9
    assert [(each["entity"], each["rule_id"]) for each in stores.kept_rejections()] == [("order_lines", "shape")]


def test_a_required_field_missing_from_few_rows_quarantines_these_alone(stores):
    rows = shop(8)
    del rows[3]["total"]
    load(stores, rows)
    assert len(stores.store.tables["orders"]) == 7
    assert {each["landing_position"] for each in stores.kept_rejections()} == {"3", "3.0"}


@pytest.mark.parametrize("bad_count", [1, 3])
def test_what_few_rows_have_at_all_has_not_vanished_because_one_of_them_lacks_it(stores, bad_count):
    bad = {"fee_lines": [{"id": 9, "name": "Gift wrapping"}]}
    rows = [order(number, line(number), **(bad if number <= bad_count else {})) for number in range(1, 21)]
    if bad_count == 1:
        load(stores, rows)
        assert len(stores.store.tables["orders"]) == 20
        assert [each["landing_position"] for each in stores.kept_rejections()] == ["0.1"]
    else:
        with pytest.raises(RequiredFieldVanished, match=r"`fee_lines\[\].total` in 100.0%"):
            load(stores, rows)


def test_the_source_says_without_which_fields_it_cannot_read():
    assert {"id", "total", "line_items[].quantity", "fee_lines[].total"} <= source("orders").required_fields()
    assert "billing" not in source("orders").required_fields()
    assert source("events").required_fields() == {"messageId", "event", "timestamp", "receivedAt"}
    assert source("stock_prices_daily").required_fields() >= {"day", "1. open"}


def test_the_share_that_lacks_a_required_field_is_exact_over_many_pages(stores):
    """Good rows are looked at by sample and counted for those that are not; bad ones are looked at one by one."""
    rows = shop(100)
    for number, each in enumerate(rows):
        each["id"] = number
    bad = [{**each, "id": 1000 + each["id"]} for each in rows]
    for each in bad:
        del each["total"]
    pages = [*[rows] * 30, *[bad] * 31]
    limit = RejectionLimit(at_least_rows=10**9)
    with pytest.raises(RequiredFieldVanished, match=r"`total` in 5[01]\.[0-9]% of the rows"):
        load(stores, *pages, entity=replace(LENIENT, rejection_limit=limit))


def test_only_a_share_of_a_long_window_is_looked_at():
    watch = FieldWatch({})
    looked = 0
    tally_look = FieldTally.look

    class Counting(FieldTally):
        def look(self, row: bytes, weight: float = 1.0) -> None:
            nonlocal looked
            looked += 1
            tally_look(self, row, weight)

    watch._tally = Counting()
    rows = [msgspec.json.encode(each) for each in shop(100)]
    page = Page(body=b"", request="/", received_at=NOW)
    for _ in range(1000):
        if watch.is_due([]):
            watch.look(page, rows, [])
    assert looked < 0.12 * 100_000
    assert watch._tally.rows.weight == pytest.approx(100_000, rel=0.02), "they stand for all"


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        ("gift_wrap", True, "true"),
        ("since", "2024-01-02T03:04:05", '"2024-01-02T03:04:05"'),
        ("price", 9.95, "9.95"),
        ("x", {"since": "tomorrow", "values": [1]}, "object of since, values"),
        ("x", [1, 2], "list of 2"),
        ("email", "ada@example.com", HIDDEN),
        ("billing.first_name", "Ada", HIDDEN),
        ("shipping.whatever", "anything", HIDDEN),
        ("contactEmail", "hidden by its name", HIDDEN),
        ("gift_note", "for my Ada", HIDDEN),
        ("x", "write to ada@example.com", HIDDEN),
        ("x", "+44 20 7946 0000", HIDDEN),
        ("x", "10.0.0.1", HIDDEN),
        ("x", "Ada Lovelace, 12 St James's Square", HIDDEN),
        ("x", {"ada@example.com": 1}, HIDDEN),
        ("line_items[].buyerPhone", 447946, HIDDEN),
    ],
)
def test_an_example_shows_no_personal_data(path, value, shown):
    assert example_of(path, msgspec.json.encode(value)) == shown


def test_a_personal_value_reaches_neither_the_table_nor_the_log(stores, caplog):
    load(stores, shop(billing={"country": "GB"}))
    with caplog.at_level(logging.DEBUG):
        load(stores, shop(billing={"country": "GB", "email": "ada@example.com"}, newsletter="ada@example.com"),
             window=NEXT_DAY)  # fmt: skip
    assert {field for field, _ in changes(stores)} == {"billing.email", "newsletter"}
    assert "ada" not in repr(stores.store.schema_changes) + repr(stores.store.source_fields) + caplog.text


def test_odd_names_and_objects_that_are_tables_do_not_grow_what_is_known(stores):
    odd = {"a'; DROP TABLE ops.source_fields; --": 1, "ada@example.com": 2, "n\x00ul": 3, "x" * 10_000: 4}
    table = {f"key {number}": number for number in range(10_000)}
    load(stores, shop(**odd, counts=table))
    known = stores.receipts.known_fields("shop_api", "orders")
    assert "(odd name)" in known and not any("ada" in path or "\x00" in path for path in known)
    assert len([path for path in known if path.startswith("counts.")]) == MOST_FIELDS


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@examples(50)
@given(
    batches=st.lists(
        st.lists(st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4), max_size=4), max_size=4
    )
)
def test_whatever_the_fields_hold_nothing_breaks_and_top_level_changes_are_those_of_a_plain_reading(batches):
    """The oracle reads plain Python objects; rows are so few that all are looked at."""
    stores = StoresInMemory()
    kinds: dict[str, set[str]] = {}
    for rows in batches:
        watch = FieldWatch(stores.receipts.known_fields("s", "orders"))
        raw = [msgspec.json.encode(row) for row in rows]
        assert watch.is_due([])
        watch.look(Page(body=b"", request="/", received_at=NOW), raw, [])
        found = watch.changes(source="s", entity="orders", batch="b")
        stores.receipts.keep_fields(watch.met(found), found, source="s", entity="orders")
        here = {
            name: {_kind(row[name]) for row in rows if name in row} - {"null"}
            for name in "abcd"
            if any(name in row for row in rows)
        }
        if kinds:
            retyped = {(n, k) for n, own in here.items() if kinds.get(n) for k in own - kinds[n]}
            assert {(c.field, c.kind) for c in found if c.change == "retyped" and c.field in "abcd"} == retyped
            assert {c.field for c in found if c.change == "added" and c.field in "abcd"} >= set(here) - set(kinds)
        else:
            assert found == []
        for name, own in here.items():
            kinds[name] = kinds.get(name) or own


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {type(None): "null", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)]


class TestRejectionLimit:
    def test_one_bad_row_of_three_is_quarantined_and_the_day_is_loaded(self, stores):
        load(stores, [*shop(2), order(3, total="x")])
        assert len(stores.store.tables["orders"]) == 2

    def test_half_a_day_is_not_loaded_and_the_error_says_what_and_why(self, stores):
        rows = [
            *shop(12),
            *(order(number, total="x") for number in range(20, 30)),
            order(30, total="-1.00"),
            order(31, status=5),
        ]
        landing = new_landing()
        with pytest.raises(TooManyRejected) as refused:
            ingest(
                stores,
                landing,
                Orders(rows, entity=replace(LENIENT, rejection_limit=RejectionLimit(), rules=ORDERS.rules)),
            )
        told = str(refused.value)
        assert "orders: 12 of 24 rows (50.0%)" in told and "25% are too many" in told
        assert "money 10" in told and "shape 1" in told and "total_not_negative 1" in told
        assert str(WINDOW) in told and "quarantine list" in told
        (batch,) = landing.batches()
        with pytest.raises(NotValidated):
            service_over(stores, Orders(), landing, now=NOW).load(WINDOW, batch=batch)
        assert stores.store.tables["orders"] == {}
        assert len([each for each in stores.kept_rejections() if each["entity"] == "orders"]) == 12
        receipt = next(
            each for each in stores.kept_receipts() if (each["step"], each["entity"]) == ("validate", "orders")
        )
        assert receipt["details"] == {"rejected_by_rule": {"money": 10, "shape": 1, "total_not_negative": 1}}

    def test_lines_are_judged_too(self, stores):
        lines = [line(number, quantity=-1 if number % 2 else 1) for number in range(1, 11)]
        strict = replace(LENIENT, child=replace(LINES, rejection_limit=RejectionLimit()))
        with pytest.raises(TooManyRejected, match=r"order_lines: 5 of 10 rows .*quantity_positive 5"):
            load(stores, [order(1, *lines)], entity=strict)

    def test_lines_of_a_rejected_order_are_no_second_fault(self, stores):
        lines = [line(number) for number in range(1, 11)]
        strict = replace(LENIENT, child=replace(LINES, rejection_limit=RejectionLimit()))
        load(stores, [order(1), order(2), order(3, *lines, total="x")], entity=strict)
        assert len(stores.store.tables["orders"]) == 2

    def test_the_limit_is_the_entitys(self, stores):
        rows = [*shop(1), *(order(number, total="x") for number in range(20, 24))]
        load(stores, rows, entity=replace(LENIENT, rejection_limit=RejectionLimit(share=0.9, at_least_rows=3)))
        assert len(stores.store.tables["orders"]) == 1


@pytest.mark.parametrize(
    ("received", "rejected", "is_exceeded"),
    [(3, 1, False), (3, 2, False), (3, 3, True), (12, 3, True), (13, 3, False), (0, 0, False)],
)
def test_when_rejected_rows_are_too_many(received, rejected, is_exceeded):
    assert RejectionLimit().is_exceeded(received=received, rejected=rejected) is is_exceeded
