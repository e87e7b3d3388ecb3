"""Judging: a bad line leaves its order standing, a bad order takes its lines along, and each says why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.ingestion.judge import Judged, judge_page
from tests.unit.source_pages import WINDOW, body_of, page, row, source


def judged(entity: str, rows: list[Any]) -> Judged:
    return judge_page(source(entity), page(entity, body_of(entity, rows)), WINDOW)


def line(number: int, **changes: Any) -> dict[str, Any]:
    return {**row("orders")["line_items"][0], "id": number, **changes}


def order(number: int, *items: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return row("orders", id=number, line_items=list(items), shipping_lines=[], fee_lines=[], **changes)


def reasons(result: Judged) -> list[tuple[str, str, str]]:
    return sorted((each.entity, each.rule_id, each.position) for each in result.rejections)


def test_a_bad_line_leaves_its_order_and_the_other_lines_standing():
    result = judged("orders", [order(1, line(1), line(2, quantity=-3), line(3, quantity="two"), line(4, price=-1))])
    assert result.rows["order_id"].to_pylist() == [1]
    assert result.lines["line_id"].to_pylist() == [1]
    assert reasons(result) == [
        ("order_lines", "product_price_not_negative", "0.3"),
        ("order_lines", "quantity_positive", "0.1"),
        ("order_lines", "shape", "0.2"),
    ]
    payloads = {each.position: json.loads(each.payload)["id"] for each in result.rejections}
    assert payloads == {"0.1": 2, "0.2": 3, "0.3": 4}


def test_an_order_whose_lines_are_all_bad_goes_with_a_reason():
    rows = [order(1, line(1, quantity=0)), order(2, line(2, quantity={})), order(3, line(3))]
    result = judged("orders", rows)
    assert result.rows["order_id"].to_pylist() == [3]
    assert reasons(result) == [
        ("order_lines", "quantity_positive", "0.0"),
        ("order_lines", "shape", "1.0"),
        ("orders", "no_line_left", "0"),
        ("orders", "no_line_left", "1"),
    ]


@pytest.mark.parametrize("last", [line(4), line(4, quantity=0)], ids=["whole page", "row by row"])
def test_rows_that_stood_on_the_page_before_are_not_judged_again(last):
    rows = [order(1, line(1, quantity=0)), order(2, line(2)), order(3, line(3), last)]
    repeating = replace(page("orders", body_of("orders", rows)), repeated_rows=2)
    result = judge_page(source("orders"), repeating, WINDOW)
    assert result.rows["order_id"].to_pylist() == [3]
    assert set(result.lines["order_id"].to_pylist()) == {3}
    assert reasons(result) == ([] if last["quantity"] else [("order_lines", "quantity_positive", "2.1")])


def test_an_order_that_never_had_lines_stays():
    assert judged("orders", [order(1)]).rows["order_id"].to_pylist() == [1]


def test_a_rejected_order_takes_its_good_lines_along_and_each_says_so():
    result = judged("orders", [order(1, line(1), line(2, quantity=-1), total="-5.00"), order(2, line(3), total="x")])
    assert result.rows.num_rows == result.lines.num_rows == 0
    assert reasons(result) == [
        ("order_lines", "parent_rejected", "0.0"),
        ("order_lines", "parent_rejected", "1.0"),
        ("order_lines", "quantity_positive", "0.1"),
        ("orders", "money", "1"),
        ("orders", "total_not_negative", "0"),
    ]


@pytest.mark.parametrize(
    ("entity", "changes", "rule"),
    [
        ("customers", {"id": 0}, "customer_id_positive"),
        ("products", {"id": 0}, "product_id_positive"),
        ("products", {"price": "-1"}, "price_not_negative"),
        ("orders", {"total": "-0.01"}, "total_not_negative"),
        ("orders", {"date_paid_gmt": "2024-03-02T03:04:04"}, "paid_after_placed"),
        ("refunds", {"amount": "-0.01"}, "amount_not_negative"),
        ("events", {"messageId": ""}, "event_id_length"),
    ],
)
def test_a_row_that_breaks_a_rule_is_rejected_by_that_rule_alone(entity, changes, rule):
    result = judged(entity, [row(entity), row(entity, **changes)])
    assert result.rows.num_rows == 1
    assert [each.rule_id for each in result.rejections if each.entity == entity] == [rule]
    assert [each.position for each in result.rejections if each.entity == entity] == ["1"]


def test_an_unpaid_order_breaks_no_rule_about_payment():
    assert judged("orders", [row("orders", date_paid_gmt=None)]).rows.num_rows == 1


def test_a_refund_line_may_give_money_back_without_goods_but_never_the_other_way_round():
    items = [{**row("refunds")["line_items"][0], "id": number, "quantity": -number} for number in (-1, 0, 1)]
    result = judged("refunds", [row("refunds", line_items=[{**each, "id": i} for i, each in enumerate(items)])])
    assert [each.rule_id for each in result.rejections] == ["quantity_not_negative"]
    assert result.lines["quantity"].to_pylist() == [0, 1, 1]


def test_equal_content_has_equal_digests_and_any_difference_another():
    orders = [
        order(1, line(1), line(2)),
        order(1, line(1), line(2), date_modified_gmt="2024-03-04T00:00:00"),
        order(1, line(2), line(1), line(1)),
        order(1, line(1)),
        order(1, line(1), line(2, name="Jug")),
        order(1, line(1), line(2), status="refunded"),
    ]
    digests = judged("orders", orders).rows["content_digest"].to_pylist()
    assert digests[0] == digests[1] == digests[2], "neither the version nor the order or repetition of lines is content"
    assert len(set(digests)) == 4


kinds_of_line = st.sampled_from(["good", "negative", "retyped"])
kinds_of_order = st.sampled_from(["good", "negative total", "retyped"])


@given(shop=st.lists(st.tuples(kinds_of_order, st.lists(kinds_of_line, max_size=4)), max_size=5))
def test_orders_and_lines_are_let_in_or_rejected_as_the_rules_say_and_all_are_accounted_for(shop):
    of_line = {"good": {}, "negative": {"quantity": -1}, "retyped": {"id": "x"}}
    of_order: dict[str, dict[str, Any]] = {"good": {}, "negative total": {"total": "-1"}, "retyped": {"status": 5}}
    rows = [
        order(number, *(line(place, **of_line[kind]) for place, kind in enumerate(lines)), **of_order[order_kind])
        for number, (order_kind, lines) in enumerate(shop)
    ]
    result = judged("orders", rows)
    stays = {number for number, (kind, lines) in enumerate(shop) if kind == "good" and (not lines or "good" in lines)}
    assert set(result.rows["order_id"].to_pylist()) == stays
    kept = {(number, place) for number in stays for place, kind in enumerate(shop[number][1]) if kind == "good"}
    assert set(zip(result.lines["order_id"].to_pylist(), result.lines["line_id"].to_pylist(), strict=True)) == kept
    rejected = Counter(each.entity for each in result.rejections)
    assert rejected["orders"] == len(shop) - len(stays)
    assert rejected["order_lines"] == sum(len(lines) for _, lines in shop) - len(kept)
    assert len({(each.entity, each.position) for each in result.rejections}) == len(result.rejections)
    parents = dict(zip(result.rows["order_id"].to_pylist(), result.rows["content_digest"].to_pylist(), strict=True))
    owners = zip(result.lines["order_id"].to_pylist(), result.lines["parent_digest"].to_pylist(), strict=True)
    assert all(parents[owner] == digest for owner, digest in owners)


def test_a_page_without_rows_gives_empty_tables_of_the_right_columns():
    for entity in ("orders", "events"):
        feed = source(entity)
        result = judge_page(feed, page(entity, body_of(entity, [])), WINDOW)
        assert result.rows.schema == feed.entity.arrow_schema
        assert (result.rows.num_rows, result.rejections) == (0, [])
