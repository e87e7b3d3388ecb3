"""From raw rows to records: what is let in, what is refused, and that nothing is lost in between."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.ingestion.judge import judge_page
from include.sources.errors import ContractBroken
from include.sources.parsing import RowRejected, decode_row, has_nul, id_of, money, required_utc, rounded_money, utc
from include.sources.source import Parsed
from tests.unit.hostile_pages import pages_of
from tests.unit.source_pages import (
    ENTITY_NAMES,
    SHOP_ENTITIES,
    WINDOW,
    body_of,
    good_body,
    page,
    row,
    source,
    stocks,
    weather,
)

LONG_TEXT = "x" * 300


def parsed(entity: str, rows: list[Any]) -> Parsed:
    return source(entity).parse(page(entity, body_of(entity, rows)), WINDOW)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", "0"),
        ("12.3", "12.3"),
        ("-0.0001", "-0.0001"),
        ("1e3", "1000"),
        ("99999999999999.9999", "99999999999999.9999"),
    ],
)
def test_an_amount_is_kept_exactly(text, amount):
    assert money(text) == Decimal(amount)
    assert money(text).as_tuple().exponent == -4


@pytest.mark.parametrize(
    "text", ["", "abc", "NaN", "sNaN", "Infinity", "-Infinity", "1.00001", "100000000000000", "1e999999", "1,5", "0x10"]
)
def test_what_is_no_amount_is_refused_and_never_rounded(text):
    with pytest.raises(RowRejected, match="is not an amount"):
        money(text)


@given(units=st.integers(-(10**18) + 1, 10**18 - 1))
def test_every_amount_that_the_warehouse_can_hold_passes_unchanged(units):
    amount = Decimal(units).scaleb(-4)
    assert money(str(amount)) == amount


def test_a_derived_amount_is_rounded_but_never_beyond_what_the_warehouse_can_hold():
    assert rounded_money(Decimal(10) / 3) == Decimal("3.3333")
    for text in ("99999999999999.99996", "1e14", "NaN", "Infinity"):
        with pytest.raises(RowRejected, match="is not an amount"):
            rounded_money(Decimal(text))


def test_a_time_without_zone_is_utc_and_one_with_an_offset_is_moved_to_utc():
    east = timezone(timedelta(hours=5, minutes=30))
    noon = datetime(2024, 3, 1, 12, tzinfo=UTC)
    assert utc(noon.replace(tzinfo=None)) == noon
    moved = utc(datetime(2024, 3, 1, 12, tzinfo=east))
    assert moved == datetime(2024, 3, 1, 6, 30, tzinfo=UTC)
    assert moved is not None and moved.tzinfo is UTC
    assert utc(None) is None


def test_a_time_that_leaves_the_calendar_in_utc_rejects_its_row_only():
    rows = [row("events", receivedAt="0001-01-01T00:00:00+14:00"), row("events"), row("orders")]
    found = parsed("events", rows[:2])
    assert [each.rule_id for each in found.rejections] == ["time"]
    assert found.positions == [1]
    with pytest.raises(RowRejected, match="outside of the years"):
        utc(datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14))))


def test_a_required_time_that_is_missing_is_named():
    with pytest.raises(RowRejected, match="date_paid is missing"):
        required_utc(None, "date_paid")


@pytest.mark.parametrize(("value", "number"), [(None, None), ("", None), ("0", 0), (7, 7), (str(2**63 - 1), 2**63 - 1)])
def test_an_id_may_be_text_a_number_or_nothing(value, number):
    assert id_of(value, "userId") == number


@pytest.mark.parametrize(
    "value", [str(2**63), 2**63, "-1", -1, "1.0", 1.0, "²", "٣", "9" * 5000, True, [], {}, "7; DROP TABLE", " 7"]
)
def test_what_is_no_id_is_refused(value):
    with pytest.raises(RowRejected, match="is not an id"):
        id_of(value, "userId")


@given(text=st.text(max_size=12))
def test_a_nul_character_is_found_exactly_where_there_is_one(text):
    assert has_nul(json.dumps(text).encode()) == ("\x00" in text)


@pytest.mark.parametrize("number", [2**63, -1, 10**30, 1.5, "1001", None, True, {}])
def test_an_order_id_beyond_64_bits_or_of_another_type_rejects_the_row_with_its_lines(number):
    found = parsed("orders", [row("orders", id=number), row("orders", id=1002)])
    assert [order.order_id for order in found.records] == [1002]
    assert [each.entity for each in found.rejections] == ["orders", *["order_lines"] * 4]
    assert [each.position for each in found.rejections] == ["0", "0.0", "0.1", "0.2", "0.3"]
    assert json.loads(found.rejections[0].payload)["id"] == number


def test_a_nul_character_in_a_line_rejects_that_line_and_in_an_unused_field_nothing():
    lines = [{**line, "name": "Mug\x00"} if line["id"] == 2 else line for line in row("orders")["line_items"]]
    found = parsed("orders", [row("orders", line_items=lines), row("orders", customer_note="\x00")])
    assert [order.order_id for order in found.records] == [1001, 1001]
    assert [len(order.lines) for order in found.records] == [3, 4]
    assert [(each.rule_id, each.position) for each in found.rejections] == [("nul_character", "0.1")]


def test_line_positions_point_at_the_raw_line_also_behind_a_rejected_one():
    items = row("orders")["line_items"]
    order = row("orders", line_items=[{"id": "no"}, items[0], 5, items[1]])
    feed = source("orders")
    found = feed.parse(page("orders", body_of("orders", [order])), WINDOW)
    raw = feed.split_lines(feed.split(body_of("orders", [order]), WINDOW)[0])
    assert [json.loads(raw[number])["id"] for number in found.line_positions[0]] == [
        line.line_id for line in found.records[0].lines
    ]
    assert [each.payload for each in found.rejections] == [raw[0], raw[2]]


@pytest.mark.parametrize(
    "meta", [{"key": "_customer_user", "value": value} for value in ("²", [7], {"a": 1}, "9" * 5000)]
)
def test_a_refund_with_a_hostile_customer_is_rejected_by_name(meta):
    found = parsed("refunds", [row("refunds", meta_data=[meta])])
    assert [each.entity for each in found.rejections] == ["refunds", "refund_lines", "refund_lines"]
    assert "_customer_user" in found.rejections[0].reason


@pytest.mark.parametrize("value", [None, "", "0", 0])
def test_a_refund_without_a_customer_has_none(value):
    found = parsed("refunds", [row("refunds", meta_data=[{"key": "_customer_user", "value": value}])])
    assert found.records[0].customer_id is None


def test_refunds_turn_what_the_shop_writes_as_negative_into_positive_amounts():
    refund = parsed("refunds", [row("refunds")]).records[0]
    assert (refund.refund_amount, refund.order_id, refund.customer_id) == (Decimal("9.95"), 1001, 7)
    assert [(line.kind, line.quantity, line.total_amount) for line in refund.lines] == [
        ("product", 1, Decimal("9.95")),
        ("fee", 1, Decimal("0")),
    ]


def test_an_event_leaves_personal_data_behind():
    event = row(
        "events", context={"ip": "10.0.0.1", "traits": {"email": "a@b"}, "userAgent": "x", "page": {"path": "/"}}
    )
    event["properties"] |= {"email": "a@b.c", "first_name": "Ann", "lastName": "Other", "phone": "1"}
    kept = parsed("events", [event]).records[0].properties
    assert kept == {"product_id": "11", "price": 9.95, "context": {"page": {"path": "/"}}}


def test_nesting_beyond_what_can_be_stored_rejects_the_row_and_not_the_page():
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    found = parsed("events", [row("events", properties={"deep": deep}), row("events", messageId="m-2")])
    assert [event.event_id for event in found.records] == ["m-2"]
    assert "nested" in found.rejections[0].reason
    abyss = json.dumps(row("events")).encode()[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    found = source("events").parse(page("events", abyss), WINDOW)
    assert (len(found.records), len(found.rejections)) == (0, 1)


def test_an_event_id_that_no_index_can_hold_is_rejected():
    rows = [row("events", messageId=text) for text in ("", LONG_TEXT, "漢" * 86, "m" * 255)]
    judged = judge_page(source("events"), page("events", body_of("events", rows)), WINDOW)
    assert judged.rows["event_id"].to_pylist() == ["m" * 255]
    assert {each.rule_id for each in judged.rejections} == {"event_id_length"}


def test_days_outside_of_the_window_are_not_rows_and_what_is_no_day_is_rejected():
    good = stocks()["Time Series (Daily)"]["2024-03-01"]
    days = {"2024-03-08": good, "2024-02-23": good, "2024-02-22": good, "2024-3-5": good, "soon": good, "2024-03-05": 5}
    found = source("stock_prices_daily").parse(page("stock_prices_daily", json.dumps(stocks(days)).encode()), WINDOW)
    assert [str(day.traded_on) for day in found.records] == ["2024-02-23", "2024-03-01", "2024-03-04"]
    assert sorted(json.loads(each.payload)["day"] for each in found.rejections) == ["2024-03-05", "2024-3-5", "soon"]


def test_weather_columns_of_different_lengths_or_units_break_the_contract():
    feed = source("weather_daily")
    with pytest.raises(ContractBroken, match="do not match"):
        feed.split(json.dumps(weather(precipitation_sum=[1.0])).encode(), WINDOW)
    imperial = weather()
    imperial["daily_units"]["temperature_2m_max"] = "°F"
    with pytest.raises(ContractBroken, match="°F"):
        feed.split(json.dumps(imperial).encode(), WINDOW)


def lines_in(raw: bytes) -> int | None:
    """Lines of a raw order or refund, counted with Python's own JSON; None if there is no telling."""
    try:
        readable = json.loads(raw.decode(errors="replace"))
        lists = [readable.get(name, []) for name in ("line_items", "shipping_lines", "fee_lines")]
    except (ValueError, AttributeError, RecursionError):
        return None
    return sum(map(len, lists)) if all(isinstance(each, list) for each in lists) else None


@pytest.mark.parametrize("entity", ENTITY_NAMES)
@given(data=st.data())
def test_any_bytes_become_records_and_rejections_with_nothing_lost_or_a_stated_error(entity, data):
    body = data.draw(pages_of(entity))
    feed = source(entity)
    try:
        raw = feed.split(body, WINDOW)
    except (ValueError, ContractBroken):
        return  # extraction refuses such a page before it is landed
    judged = judge_page(feed, page(entity, body), WINDOW)
    own = [each for each in judged.rejections if each.entity == entity]
    assert judged.rows.num_rows + len(own) == len(raw)
    assert sorted(each.payload for each in own) == sorted(raw[int(each.position)] for each in own)
    assert len({each.position for each in own}) == len(own)
    assert all(each.reason and each.rule_id for each in judged.rejections)
    if feed.entity.child is not None:
        counts = [lines_in(each) for each in raw]
        lines = [each for each in judged.rejections if each.entity == feed.entity.child.name]
        assert judged.lines.num_rows + len(lines) == sum(count or 0 for count in counts)
        assert len({each.position for each in lines}) == len(lines)


@pytest.mark.parametrize("entity", ENTITY_NAMES)
def test_a_good_page_is_taken_whole(entity):
    feed = source(entity)
    judged = judge_page(feed, page(entity, good_body(entity)), WINDOW)
    assert judged.rows.num_rows == len(feed.split(good_body(entity), WINDOW)) > 0
    assert judged.rejections == []


@pytest.mark.parametrize("entity", SHOP_ENTITIES)
@pytest.mark.parametrize("body", [b'{"code": "rest_error"}', b"null", b"", b"<html>", b"[1", b"[{}, ]"])
def test_a_shop_page_that_is_no_list_is_refused_as_a_page(entity, body):
    with pytest.raises(ValueError, match=r"."):
        source(entity).split(body, WINDOW)


@pytest.mark.parametrize("entity", SHOP_ENTITIES)
def test_entries_that_are_no_objects_are_rejected_one_by_one(entity):
    found = parsed(entity, [5, row(entity), None, "text", []])
    assert found.positions == [1]
    assert [each.payload for each in found.rejections] == [b"5", b"null", b'"text"', b"[]"]


def test_a_time_is_not_read_over_a_nul_in_it():
    decoder = msgspec.json.Decoder(dict[str, datetime])
    assert decode_row(b'{"at": "2024-03-02T03:04:06.000Z"}', decoder)
    with pytest.raises(RowRejected) as refused:
        decode_row(b'{"at": "2024-03-02T03:04:06\\u0000.000Z"}', decoder)
    assert refused.value.rule_id == "shape"


def test_a_field_that_comes_twice_counts_as_it_comes_last_whatever_the_other_one_is():
    good = json.dumps([row("orders")])
    for first in ('"no time"', "[]", "null", '"2024-03-02T03:14:06"'):
        body = good.replace('"date_paid_gmt"', f'"date_paid_gmt": {first}, "date_paid_gmt"')
        assert judge_page(source("orders"), page("orders", body.encode()), WINDOW).rows.equals(
            judge_page(source("orders"), page("orders", good.encode()), WINDOW).rows
        )
    body = good.replace('"date_paid_gmt": "2024-03-02T03:14:05"', '"date_paid_gmt": null, "date_paid_gmt": "no time"')
    (refused,) = (
        each
        for each in judge_page(source("orders"), page("orders", body.encode()), WINDOW).rejections
        if each.entity == "orders"
    )
    assert refused.rule_id == "shape" and "date_paid_gmt" in refused.reason
