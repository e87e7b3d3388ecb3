"""The replay of an Online Retail file: every line accounted for, counted again in plain Python."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.local.sandbox.instants import FOREVER, gmt
from include.local.sandbox.replay.replay import replay_shop
from include.local.sandbox.shop import Collection, Shop
from include.sources.files.online_retail.errors import ExportRefused
from include.sources.files.online_retail.fees import kind_of
from tests.properties import examples

FIRST = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
SECOND = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"]
PLAIN = [
    ["536365", "85123A", "WHITE HEART", "6", "2010-12-01 08:26:00", "2.55", "17850", "United Kingdom"],
    ["536365", "post", "POSTAGE", "1", "2010-12-01 08:27:00", "18", "17850", "United Kingdom"],
    ["536365", "85123A", "WHITE HEART", "6", "2010-12-01 08:26:00", "2.55", "17850", "United Kingdom"],
    ["C536379", "D", "Discount", "-1", "2010-12-01 09:41:00", "27.50", "14527", "United Kingdom"],
    ["A563185", "B", "Adjust bad debt", "1", "2011-08-12 14:50:00", "11062.06", "", "United Kingdom"],
    ["536414", "22139", "", "56", "2010-12-01 11:52:00", "0", "", "EIRE"],
]


def text_of(rows: list[list[str]], *, header: list[str] = FIRST, delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows([header, *rows])
    return out.getvalue()


def replay(content: bytes | str) -> Shop:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return replay_shop(path)


def records(collection: Collection) -> list[dict[str, Any]]:
    positions = np.flatnonzero(collection.visible(FOREVER - 1))
    return [msgspec.to_builtins(collection.item(int(position))) for position in positions]


def wire_lines(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [*record["line_items"], *record["shipping_lines"], *record["fee_lines"]]


def everything(shop: Shop) -> list[Any]:
    return [records(collection) for collection in (shop.orders, shop.refunds, shop.products, shop.customers)]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["536365", "536366", "C536365", "C7", "A1"]),
        st.sampled_from(["85123A", "85123a", "22139", "POST", "M", "gift_0001_20", "BANK CHARGES"]),
        st.sampled_from(["WHITE HEART", "white heart", "", 'A "quoted", text', "ÉCLAIR £5"]),
        st.integers(-4, 9).map(str),
        st.sampled_from(["2010-12-01 08:26:00", "2010-12-01 08:27:00", "2011-01-31 23:59:59"]),
        st.sampled_from(["2.55", "0", "-3.1", "0.001", "1.045"]),
        st.sampled_from(["17850", "", "12346"]),
        st.sampled_from(["United Kingdom", "EIRE"]),
    ),
    min_size=1,
    max_size=25,
)
SHIPPING, FEES = {"POST"}, {"M", "BANK CHARGES"}


@examples(150)
@given(rows=ROWS)
def test_every_line_is_sent_and_every_sum_is_that_of_the_distinct_lines(rows):
    shop = replay(text_of([list(row) for row in rows]))
    by_invoice: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for row in rows:
        by_invoice[row[0]].append(row)
    orders = {order["number"]: order for order in records(shop.orders)}
    refunds = {f"C{refund['id']}": refund for refund in records(shop.refunds)}
    assert set(orders) == {number for number in by_invoice if number[0] != "C"}
    assert set(refunds) == {number for number in by_invoice if number[0] == "C"}

    for number, lines in by_invoice.items():
        record = (orders | refunds)[number]
        sent = wire_lines(record)
        assert sorted(Counter(line["id"] for line in sent).values()) == sorted(Counter(lines).values())
        total = sum((int(line[3]) * Decimal(line[5]) for line in set(lines)), Decimal(0))
        assert Decimal(record["amount"] if number in refunds else record["total"]) == (
            -total if number in refunds else total
        )
        assert record["date_created_gmt"] == min(line[4] for line in lines).replace(" ", "T")
        customer = next((line[6] for line in lines if line[6]), None)
        if number in refunds:
            assert [meta["value"] for meta in record["meta_data"]] == ([customer] if customer else [])
            assert record["parent_id"] == 0
        else:
            assert record["customer_id"] == int(customer or 0)
            assert record["status"] == "completed"
            assert record["date_paid_gmt"] == record["date_modified_gmt"] == record["date_created_gmt"]
            shipping = sum((int(x[3]) * Decimal(x[5]) for x in set(lines) if x[1].upper() in SHIPPING), Decimal(0))
            assert Decimal(record["shipping_total"]) == shipping
        expected = Counter(kind(line[1]) for line in lines)
        assert {name: len(record[name]) for name in ("line_items", "shipping_lines", "fee_lines")} == {
            name: expected[name] for name in ("line_items", "shipping_lines", "fee_lines")
        }
        assert sum(Decimal(line["total"]) for line in sent) == sum(int(line[3]) * Decimal(line[5]) for line in lines)

    assert shop.counts["lines"] == len(rows)
    assert shop.counts["duplicate_lines"] == len(rows) - len(set(rows))
    assert shop.counts["order_lines"] + shop.counts["refund_lines"] == len(rows)


def kind(stock_code: str) -> str:
    code = stock_code.upper()
    return "shipping_lines" if code in SHIPPING else "fee_lines" if code in FEES else "line_items"


@examples(60)
@given(rows=ROWS)
def test_products_and_customers_are_those_of_the_lines(rows):
    shop = replay(text_of([list(row) for row in rows]))
    distinct = list(dict.fromkeys(rows))
    products = {product["sku"]: product for product in records(shop.products)}
    assert set(products) == {row[1].upper() for row in rows if kind(row[1]) == "line_items"}
    for sku, product in products.items():
        own = [row for row in distinct if row[1].upper() == sku]
        names = Counter(row[2] for row in own if row[2])
        best = min(names, key=lambda name: (-names[name], name)) if names else sku
        assert product["name"] == best
        priced = [row for row in own if Decimal(row[5]) > 0]
        if priced:
            latest = max(row[4] for row in priced)
            assert Decimal(product["price"]) == [Decimal(row[5]) for row in priced if row[4] == latest][-1]
        else:
            assert product["price"] == ""
        assert product["date_created_gmt"] == min(row[4] for row in own).replace(" ", "T")
    customers = {customer["id"]: customer for customer in records(shop.customers)}
    assert set(customers) == {int(row[6]) for row in rows if row[6]}
    for customer_id, customer in customers.items():
        own = sorted((row for row in rows if row[6] == str(customer_id)), key=lambda row: row[4])
        assert customer["billing"]["country"] == own[-1][7]
        assert customer["date_created_gmt"] == own[0][4].replace(" ", "T")
        assert customer["is_paying_customer"] == any(row[0][0] != "C" for row in own)


@examples(30)
@given(rows=ROWS)
def test_the_same_export_twice_in_one_file_adds_nothing_but_duplicates(rows):
    text = text_of([list(row) for row in rows])
    once, twice = replay(text), replay(text + text)
    assert twice.counts["lines"] == 2 * once.counts["lines"]
    assert twice.counts["distinct_lines"] == once.counts["distinct_lines"]
    without_lines = {"line_items", "shipping_lines", "fee_lines"}
    for first, second in zip(everything(once), everything(twice), strict=True):
        for record, again in zip(first, second, strict=True):
            assert {k: v for k, v in record.items() if k not in without_lines} == {
                k: v for k, v in again.items() if k not in without_lines
            }


def test_every_compression_encoding_header_and_number_style_gives_the_same_shop():
    text = text_of(PLAIN)
    expected = everything(replay(text))
    second_style = [[*row[:6], f"{row[6]}.0" if row[6] else "", row[7]] for row in PLAIN]
    us_dates = [[*row[:4], us_date(row[4]), *row[5:]] for row in PLAIN]
    iso_dates = [[*row[:4], row[4].replace(" ", "T") + "+00:00", *row[5:]] for row in PLAIN]
    variants = {
        "gzip": gzip.compress(text.encode()),
        "xz": lzma.compress(text.encode()),
        "zstandard": pa.compress(text.encode(), codec="zstd", asbytes=True),
        "byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "Online Retail II": text_of(second_style, header=SECOND).encode(),
        "month first": text_of(us_dates).encode(),
        "ISO with zone": text_of(iso_dates).encode(),
        "semicolons": text_of(PLAIN, delimiter=";").encode(),
        "line feeds": text.replace("\r\n", "\n").encode(),
        "other order of columns": text_of([row[::-1] for row in PLAIN], header=FIRST[::-1]).encode(),
    }
    for name, content in variants.items():
        assert everything(replay(content)) == expected, name


def us_date(iso: str) -> str:
    """2010-12-01 08:26:00 as the UCI export writes it: 12/1/2010 8:26."""
    moment = datetime.fromisoformat(iso).replace(tzinfo=UTC)
    return f"{moment.month}/{moment.day}/{moment.year} {moment.hour}:{moment.minute:02d}"


def test_latin_1_is_read_where_utf_8_does_not_fit():
    rows = [[*PLAIN[0][:2], "VOUCHER £5", *PLAIN[0][3:]]]
    for encoding in ("utf-8", "latin-1"):
        order = records(replay(text_of(rows).encode(encoding)).orders)[0]
        assert order["line_items"][0]["name"] == "VOUCHER £5"


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (["1/12/2010 8:26", "12/31/2010 8:26"], "2010-01-12T08:26:00"),
        (["1/12/2010 8:26", "31/12/2010 8:26"], "2010-12-01T08:26:00"),
        (["1/12/2010 8:26", "2/11/2010 8:26"], "2010-01-12T08:26:00"),
        (["01-12-2010 08:26", "02-11-2010 08:26"], "2010-12-01T08:26:00"),
        (["1/12/10 8:26", "1/12/10 8:26"], "2010-01-12T08:26:00"),
    ],
)
def test_day_and_month_stand_in_the_order_that_the_whole_file_shows(dates, expected):
    rows = [[str(number), *PLAIN[0][1:4], date, *PLAIN[0][5:]] for number, date in enumerate(dates, start=1)]
    orders = {order["number"]: order for order in records(replay(text_of(rows)).orders)}
    assert orders["1"]["date_created_gmt"] == expected


def test_fees_keep_their_code_quantity_and_price_in_meta_data():
    shop = replay(text_of(PLAIN))
    order = next(order for order in records(shop.orders) if order["number"] == "536365")
    (postage,) = order["shipping_lines"]
    assert {meta["key"]: meta["value"] for meta in postage["meta_data"]} == {
        "sku": "POST",
        "quantity": "1",
        "unit_price": "18.00",
    }
    assert (order["total"], order["shipping_total"]) == ("33.30", "18.00")
    (refund,) = records(shop.refunds)
    assert (refund["amount"], refund["fee_lines"][0]["total"]) == ("27.50", "-27.50")
    assert {meta["key"]: meta["value"] for meta in refund["fee_lines"][0]["meta_data"]}["quantity"] == "-1"


def test_a_leading_letter_other_than_c_has_a_range_of_ids_of_its_own():
    order = next(order for order in records(replay(text_of(PLAIN)).orders) if order["number"] == "A563185")
    assert order["id"] == 65 * 10_000_000 + 563185


@pytest.mark.parametrize(
    ("code", "expected"),
    [("85123A", "product"), ("POST", "shipping"), ("DOT", "shipping"), ("C2", "shipping"), ("M", "fee"), ("D", "fee"),
     ("S", "fee"), ("B", "fee"), ("BANK CHARGES", "fee"), ("AMAZONFEE", "fee"), ("CRUK", "fee"), ("ADJUST2", "fee"),
     ("TEST001", "fee"), ("GIFT_0001_20", "product"), ("PADS", "product"), ("DCGS0003", "product"), ("C3", "product")],
)  # fmt: skip
def test_a_stock_code_is_a_product_unless_the_table_says_otherwise(code, expected):
    assert kind_of(code) == expected


def test_ids_belong_to_the_content_alone_whatever_else_is_in_the_file():
    whole, part = replay(text_of(PLAIN)), replay(text_of(PLAIN[::-1][:1] + PLAIN[:1]))
    ids = {line["id"] for order in records(whole.orders) for line in wire_lines(order)}
    assert {line["id"] for order in records(part.orders) for line in wire_lines(order)} < ids
    product_ids = {product["sku"]: product["id"] for product in records(whole.products)}
    assert {product["sku"]: product["id"] for product in records(part.products)} == product_ids


def test_the_range_is_whole_days_around_all_lines():
    shop = replay(text_of(PLAIN))
    assert (gmt(shop.start), gmt(shop.end)) == ("2010-12-01T00:00:00", "2011-08-13T00:00:00")


def changed(column: int, value: str) -> str:
    rows = [list(row) for row in PLAIN]
    rows[3][column] = value
    return text_of(rows)


BAD_FILES = {
    "no such column": (text_of(PLAIN, header=["Foo", *FIRST[1:]]), ["Foo", "invoice", "InvoiceNo"]),
    "one column too many": (text_of([[*r, "x"] for r in PLAIN], header=[*FIRST, "Note"]), ["unknown columns ['Note']"]),
    "a column missing": (text_of([row[:7] for row in PLAIN], header=FIRST[:7]), ["lacks ['country']"]),
    "a column twice": (text_of([[*r, "1"] for r in PLAIN], header=[*FIRST, "Invoice"]), ["several columns"]),
    "another table": ("id,date\n1,2020-01-01\n", ["not an Online Retail export", "InvoiceNo"]),
    "nothing": ("", ["is empty"]),
    "only a header": (text_of([]), ["no data lines"]),
    "a broken quantity": (changed(3, "six"), ["line 5", "quantity", "'six'"]),
    "a fraction of a piece": (changed(3, "1.5"), ["line 5", "quantity", "'1.5'"]),
    "no quantity": (changed(3, ""), ["line 5", "quantity"]),
    "a broken date": (changed(4, "yesterday"), ["line 5", "invoiced_at", "'yesterday'"]),
    "a date that does not exist": (changed(4, "2010-02-30 10:00:00"), ["line 5", "invoiced_at"]),
    "a broken price": (changed(5, "2,55 GBP"), ["line 5", "price"]),
    "no number for a price": (changed(5, "NaN"), ["line 5", "price"]),
    "a broken customer": (changed(6, "Mrs Smith"), ["line 5", "customer_id", "'Mrs Smith'"]),
    "a broken invoice": (changed(0, "??"), ["line 5", "invoice", "'??'"]),
    "no stock code": (changed(1, " "), ["line 5", "stock_code"]),
    "a line cut short": (text_of(PLAIN[:2]) + "536366,22139\r\n", ["line 4", "2 cells"]),
    "both orders of day and month": (
        text_of([[*PLAIN[0][:4], date, *PLAIN[0][5:]] for date in ("13/1/2010 8:26", "1/13/2010 8:26")]),
        ["day and month", "13/1/2010"],
    ),
    "two-byte characters": (text_of(PLAIN).encode("utf-16"), ["not text in UTF-8"]),
    "a workbook": (b"PK\x03\x04rest", ["Excel"]),
    "a cut xz": (lzma.compress(text_of(PLAIN).encode())[:-30], ["incomplete archive"]),
    "a cut gzip": (gzip.compress(text_of(PLAIN).encode())[:-30], ["incomplete archive"]),
    "a cut zstandard": (pa.compress(text_of(PLAIN).encode(), codec="zstd", asbytes=True)[:-30], ["incomplete archive"]),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_cannot_be_read_is_refused_with_its_name_the_fault_and_the_mend(name):
    content, expected = BAD_FILES[name]
    with pytest.raises(ExportRefused) as refusal:
        replay(content)
    message = str(refusal.value)
    assert "export.csv" in message
    for part in expected:
        assert part in message
    assert "\n" not in message


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ExportRefused, match="cannot be read: No such file"):
        replay_shop(tmp_path / "nowhere.csv")
