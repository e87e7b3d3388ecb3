"""Reading whole pages at once gives, byte for byte, what reading them row by row gives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.ingestion import judge
from include.ingestion.judge import judge_pages
from include.sources.columns import ReadsColumns
from include.sources.errors import ContractBroken
from include.sources.source import Source
from tests.properties import examples
from tests.unit.hostile_pages import pages_of, places_in
from tests.unit.source_pages import WINDOW, body_of, page, row, source

PARENTS = ("orders", "refunds")


class RowByRow:
    """A source that cannot read whole pages."""

    def __init__(self, real: Source) -> None:
        self.entity, self.name, self.pages = real.entity, real.name, real.pages
        self.split, self.split_lines, self.parse = real.split, real.split_lines, real.parse


def outcome(
    feed: Source, entity: str, bodies: list[bytes], *, repeated: int = 0
) -> tuple[pa.Table, pa.Table, dict[str, list]]:
    pages = [replace(page(entity, body), repeated_rows=number * repeated) for number, body in enumerate(bodies)]
    named = [(f"page-{number}", each) for number, each in enumerate(pages)]
    found = list(judge_pages(feed, named, WINDOW))
    rejections: dict[str, list] = {}
    for each in found:
        rejections |= each.rejections
    rows, lines = [each.rows for each in found], [each.lines for each in found]
    return pa.concat_tables(rows), pa.concat_tables(lines), rejections


def check_equal(entity: str, bodies: list[bytes]) -> None:
    feed = source(entity)
    for repeated in (0, 1):
        whole = outcome(feed, entity, bodies, repeated=repeated)
        by_row = outcome(RowByRow(feed), entity, bodies, repeated=repeated)
        assert whole[0].equals(by_row[0])
        assert whole[1].equals(by_row[1])
        assert whole[2] == by_row[2]


@pytest.mark.parametrize("entity", PARENTS)
@given(data=st.data())
def test_pages_of_any_bytes_give_the_same_whole_and_row_by_row(entity, data):
    bodies = data.draw(st.lists(pages_of(entity), min_size=1, max_size=3))
    for body in bodies:
        try:
            source(entity).split(body, WINDOW)
        except (ValueError, ContractBroken):
            return  # extraction refuses such a page before it is landed
    check_equal(entity, bodies)


amount_texts = st.one_of(
    st.decimals(places=2, allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15).map(str),
    st.from_regex(r"[+-]?[0-9_]{0,16}\.?[0-9]{0,6}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["", "-", ".", " 1", "1 ", "0x1", "١٢", "-0", "1.00000", "NaN", "Infinity", "99999999999999.9999"]),
)
prices = st.one_of(
    st.none(),
    st.integers(-(10**19), 10**19).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.integers(-(10**4), 10**4).map(lambda number: f"{number}.00005" if number % 2 else f"{number}.00015"),
    amount_texts.map(json.dumps),
)
instants = st.one_of(
    st.none(),
    st.datetimes().map(datetime.isoformat),
    st.datetimes(timezones=st.timezones()).map(datetime.isoformat),
    st.from_regex(r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|[.][0-9]{1,7})?").map(
        str
    ),
    st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00", ""]),
)
texts = st.none() | st.sampled_from(["", "EUR", "E1R", "eur", "cancelled", "a\x1fb", "漢"]) | st.text(max_size=3)
FIELDS = {
    "total": amount_texts,
    "shipping_total": amount_texts,
    "date_paid_gmt": instants,
    "date_modified_gmt": instants,
    "date_created_gmt": instants,
    "currency": texts,
    "status": texts,
    "billing": st.fixed_dictionaries({"country": texts}),
    "customer_id": st.integers(-1, 2**63),
}
PRICE = "the price"


@st.composite
def likely_orders(draw) -> bytes:
    """Orders whose fields are of the right type and mostly, but not always, right."""
    orders = []
    for number in range(draw(st.integers(1, 3))):
        names = draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2, unique=True))
        changes: dict[str, Any] = {name: draw(FIELDS[name]) for name in names}
        order = row("orders", id=number, **changes)
        for line in order["line_items"]:
            line.update(
                {"price": PRICE, "sku": draw(texts), "name": draw(texts), "product_id": draw(st.integers(0, 2))}
            )
            line["quantity"] = draw(st.integers(0, 3))
        order["line_items"] *= draw(st.integers(0, 2))
        orders.append(order)
    body = json.dumps(orders)
    while f'"{PRICE}"' in body:
        price = draw(prices) if draw(st.integers(0, 2)) == 0 else "9.95"
        body = body.replace(f'"{PRICE}"', "null" if price is None else price, 1)
    return body.encode()


@examples(150)
@given(bodies=st.lists(likely_orders(), min_size=1, max_size=3))
def test_every_amount_price_time_and_text_is_read_alike_whole_and_row_by_row(bodies):
    try:
        for body in bodies:
            source("orders").split(body, WINDOW)
    except ValueError:
        return  # a price that is not JSON
    check_equal("orders", bodies)


ODD_VALUES = [
    b"null", b"true", b"0", b"-0", b"-1", b"1.0", b"1.5", b"1e2", b"1E+2", b"1e-2", b"-1.5e-3", b"1e400", b"1e-400",
    b"01", b"1.", b".5", b"-", b"9223372036854775807", b"9223372036854775808", b"2147483648", b"2147483649",
    b"10000000000000000000000000000000000000000", b"NaN", b"Infinity", b"12345678901234567890.12345678901234567890",
    b"0.000000000000000000001", b"99999999999999.99995", b"0.00005", b'""', b'"null"', b'"n\\u0075ll"', b'"1"',
    b'"1.5"', b'".5"', b'"1."', b'"+1"', b'"01"', b'" 1"', b'"1_0"', b'"1,5"', b'"1\\"5"', b'"\\u0031"', b'"1e2"',
    b'"NaN"', b'"Infinity"', b'"-"', b'"\xd9\xa1"', b'"1.00000000000000000000000001"', b'"99999999999999.9999"',
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\\u0000"',
    b'"a\\\\u0000"', b'"\x00"', b'"\x1f"', b'"\xef\xbb\xbf"', b'"\\/"', b'"\\q"', b'"EUR"', b'"eur"', b'"EUR\\n"',
    b'"cancelled"', b"[]", b"{}", b"[1]", b"[1,2]", b'["1"]', b'["1","2"]', b'{"country":"\\u0000"}',
    b'{"country":null}', b"[null]", b"[{}]", b'[{"key":"_customer_user","value":"\\u0000"}]',
    b'[{"key":"_customer_user","value":1.5}]', b'[{"key":"\\u0000"}]', b'[{"key":"a","value":"\\ud800"}]',
    b'"2024-03-02T03:04:05\\u0000.000Z"', b'"2024-03-02T03:04:0\\u0000"',
    b'"2024-03-02T03:04:05"', b'"2024-03-02 03:04:05"', b'"2024-03-02t03:04:05"', b'"2024-03-02_03:04:05"',
    b'"2024-03-02T03:04:05Z"', b'"2024-03-02T03:04:05.5"', b'"2024-03-02T03:04:05.1234567"',
    b'"2024-03-02T03:04:05+14:00"', b'"2024-03-02T03:04+01"', b'"2024-03-02T03:04:0Z"', b'"2024-02-30T03:04:05"',
    b'"2024-02-29T03:04:05"', b'"2023-02-29T03:04:05"', b'"2024-03-02T24:00:00"', b'"2024-03-02T23:60:00"',
    b'"2024-03-02T23:59:60"', b'"0000-01-01T00:00:00"', b'"0001-01-01T00:00:00"', b'"9999-12-31T23:59:59"',
    b'"0001-01-01T00:00:00+14:00"', b'"2024-03-02T03:04:0\\u0035"', b'"+024-03-02T03:04:05"',
    b'"2024-3-002T03:04:05"', b'"2024-03-02T03:04.05"', b'"2024-03-02"', b'"20240302T03:04:05"',
    b'"\xc3\x99\xc2\xa1024-03-02T03:04:05"', b'"2024-03-02T03:04:05 "', b'" 2024-03-02T03:04:05"',
]  # fmt: skip
ODD_VALUES += [
    b'"%s"' % number if is_text else number
    for number in (
        b"1E-43", b"1e-50", b"10E27", b"10E31", b"1E-391",
        b"0." + b"0" * 42 + b"1", b"1" + b"0" * 17, b"1" * 18 + b".5",
    )
    for is_text in (True, False)
]  # fmt: skip
HERE = "a value goes here"


@st.composite
def pages_with_odd_values(draw, entity: str) -> bytes:
    """Good rows in which some values, at any depth, are odd ones as they stand, and some fields come twice."""
    rows = [row(entity, id=number) for number in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from([each for each in places_in(rows) if each]))
        holder = rows
        for key in path:
            if holder == HERE:
                break
            holder = holder[key]
        if holder != HERE:
            holder[last] = HERE
    body = body_of(entity, rows)
    while json.dumps(HERE).encode() in body:
        body = body.replace(json.dumps(HERE).encode(), draw(st.sampled_from(ODD_VALUES)), 1)
    names = sorted(set(re.findall(rb'"(\w+)":', body)))
    if names and draw(st.booleans()):
        name = draw(st.sampled_from(names))
        parts = body.split(b'"' + name + b'":')
        place = draw(st.integers(1, len(parts) - 1))
        parts[place] = draw(st.sampled_from(ODD_VALUES)) + b',"' + name + b'":' + parts[place]
        body = (b'"' + name + b'":').join(parts)
    return body


@pytest.mark.parametrize("entity", PARENTS)
@examples(200)
@given(data=st.data())
def test_odd_values_and_fields_that_come_twice_are_read_alike_whole_and_row_by_row(entity, data):
    body = data.draw(pages_with_odd_values(entity))
    try:
        source(entity).split(body, WINDOW)
    except (ValueError, ContractBroken):
        return
    check_equal(entity, [body])


@pytest.mark.parametrize("entity", PARENTS)
def test_good_pages_are_read_whole_whatever_page_stands_beside_them(entity, monkeypatch):
    feed = source(entity)
    assert isinstance(feed, ReadsColumns)
    by_row = []
    parse = feed.parse
    monkeypatch.setattr(feed, "parse", lambda page, window: by_row.append(page.body) or parse(page, window))
    good = body_of(entity, [row(entity), row(entity, id=3)])
    bad = body_of(entity, [row(entity), row(entity, id="x")])
    rows, _, rejections = outcome(feed, entity, [good, bad, good])
    assert rows.num_rows == 5
    assert set(rejections) == {"page-1"}
    assert by_row == [bad]


def test_a_rule_that_does_not_hold_is_told_for_its_own_page_and_place_among_many():
    good = row("orders")
    bodies = [body_of("orders", [good, {**good, "total": "-1"} if number == 7 else good]) for number in range(50)]
    rows, lines, rejections = outcome(source("orders"), "orders", bodies)
    assert (rows.num_rows, lines.num_rows) == (99, 99 * 4)
    assert {name: [each.position for each in found] for name, found in rejections.items()} == {
        "page-7": ["1", "1.0", "1.1", "1.2", "1.3"]
    }


def test_large_pages_are_not_gathered(monkeypatch):
    monkeypatch.setattr(judge, "BYTES_AT_ONCE", 10)
    named = [(str(number), page("orders", body_of("orders", [row("orders")]))) for number in range(3)]
    assert [each.rows.num_rows for each in judge_pages(source("orders"), named, WINDOW)] == [1, 1, 1]


@pytest.mark.parametrize("text", ["1E-43", "1E-391", "10E27", "10E31", "0." + "0" * 42 + "1", "1E2", "1" * 18])
def test_a_number_that_is_not_written_plainly_is_read_alike(text):
    for name in ("total", "shipping_total"):
        check_equal("orders", [body_of("orders", [row("orders", **{name: text})])])
    order = row("orders")
    order["line_items"][0]["price"] = PRICE
    check_equal("orders", [json.dumps([order]).replace(f'"{PRICE}"', text).encode()])


@pytest.mark.parametrize("price", ["1.00005", "1.00015", "-1.00005", "0.00005", "3.3333333333333335", "1e-5", "7"])
def test_a_price_between_two_steps_is_rounded_alike(price):
    order = row("orders", total="1")
    del order["line_items"][1:]
    order["line_items"][0]["price"] = PRICE
    check_equal("orders", [json.dumps([order]).replace(f'"{PRICE}"', price).encode()])
