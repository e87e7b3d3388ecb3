"""Lineage in pixels, as the page Data draws it."""

from __future__ import annotations

import re

import pytest
from dashboard.pages.customers_charts import sparkline
from dashboard.pages.data_lineage import BOX_HEIGHT, draw_all, draw_around


def test_the_tables_of_a_view_are_one_box_and_the_platform_s_accounts_none():
    drawn = draw_all(
        [
            ("shop.orders", "features.customer_rfm_v1"),
            ("features.customer_rfm_v1", "features.customer_rfm_v1_online"),
            ("features.customer_rfm_v1", "features.customer_rfm"),
            ("features.customer_rfm_v1", "ml.customer_scores"),
            ("shop.orders", "features.customer_touches"),
            ("ops.receipts", "analytics.data_inventory"),
        ]
    )
    assert [box.name for box in drawn.boxes] == ["features.customer_rfm", "ml.customer_scores", "shop.orders"]
    assert [(line.upstream, line.downstream) for line in drawn.lines] == [
        ("features.customer_rfm", "ml.customer_scores"),
        ("shop.orders", "features.customer_rfm"),
    ]
    assert drawn.groups == ["features", "ml", "shop"]


def test_a_line_leads_from_the_right_side_of_a_box_to_the_left_side_of_another():
    drawn = draw_all([("a.one", "a.two"), ("a.two", "a.three"), ("a.one", "a.three")])
    boxes = {box.name: box for box in drawn.boxes}
    for line in drawn.lines:
        start, end = boxes[line.upstream], boxes[line.downstream]
        numbers = [float(each) for each in re.findall(r"[\d.]+", line.path)]
        assert numbers[:2] == pytest.approx([start.x + start.width, start.y + BOX_HEIGHT / 2], abs=0.1)
        assert numbers[-2:] == pytest.approx([end.x, end.y + BOX_HEIGHT / 2], abs=0.1)
    assert all(0 <= box.x <= drawn.width - box.width and 0 <= box.y <= drawn.height - BOX_HEIGHT for box in drawn.boxes)


def test_a_layer_is_as_wide_as_its_longest_name_needs():
    drawn = draw_all([("a.x", "a.a_longer_name"), ("a.y", "a.z"), ("a.a_longer_name", "a.z")])
    width = {box.name: box.width for box in drawn.boxes}
    assert width["a.x"] == width["a.y"] == width["a.z"] < width["a.a_longer_name"]


def test_a_connection_is_no_table_and_a_long_name_is_cut():
    drawn = draw_all([("connection shop_api", "shop.a_name_that_is_much_too_long_for_a_box")])
    connection, table = drawn.boxes
    assert (connection.label, connection.group, connection.is_table) == ("shop_api", "connection", False)
    assert table.is_table and table.label.endswith("…") and table.label != table.name


@pytest.mark.parametrize(("others", "boxes"), [(10, 12), (40, 2)])
def test_around_a_table_two_steps_are_drawn_unless_they_are_too_many(others, boxes):
    edges = {("s.one", "s.two"), *(("s.two", f"s.other_{n}") for n in range(others))}
    assert len(draw_around(edges, "s.one").boxes) == boxes


def test_a_small_line_goes_from_the_lowest_to_the_highest_value_and_over_gaps():
    assert sparkline([1.0, None, 3.0], width=104, height=26) == "2.0,23.0 102.0,3.0"
    assert sparkline([2.0, 2.0], width=104, height=26) == "2.0,23.0 102.0,23.0"
    assert sparkline([2.0, None]) == sparkline([]) == ""
