"""The layered drawing of lineage: what is made of others stands right of them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from include.analytics.lineage_drawing import lay_out, neighbourhood

NAMES = st.sampled_from("abcdefghij")
EDGES = st.lists(st.tuples(NAMES, NAMES), max_size=30)


def test_a_table_stands_right_of_all_that_it_is_made_of():
    drawing = lay_out("abcd", [("a", "b"), ("b", "c"), ("a", "c")])
    assert {box.name: box.layer for box in drawing.boxes} == {"a": 0, "b": 1, "c": 2, "d": 0}
    assert drawing.layers == 3


def test_a_line_passes_a_layer_beside_the_boxes_there():
    drawing = lay_out("abc", [("a", "b"), ("b", "c"), ("a", "c")])
    boxes = {box.name: box for box in drawing.boxes}
    (long,) = [line for line in drawing.lines if (line.upstream, line.downstream) == ("a", "c")]
    assert [layer for layer, _ in long.points] == [0, 1, 2]
    assert abs(long.points[1][1] - boxes["b"].height) >= 0.5


def test_lines_that_need_not_cross_do_not():
    drawing = lay_out("abxy", [("a", "y"), ("b", "x")])
    height = {box.name: box.height for box in drawing.boxes}
    assert (height["a"] < height["b"]) == (height["y"] < height["x"])


def test_a_ring_is_drawn_with_one_line_going_back():
    drawing = lay_out("abc", [("a", "b"), ("b", "c"), ("c", "a")])
    assert sorted(line.points[0][0] > line.points[-1][0] for line in drawing.lines) == [False, False, True]


def test_no_tables_give_an_empty_drawing():
    assert lay_out([], []).boxes == ()


@given(edges=EDGES)
def test_every_table_and_line_is_drawn_once_without_boxes_on_each_other(edges):
    drawing = lay_out("abcdefghij", edges)
    assert sorted(box.name for box in drawing.boxes) == list("abcdefghij")
    assert {(line.upstream, line.downstream) for line in drawing.lines} == {e for e in edges if e[0] != e[1]}
    assert len(drawing.lines) == len({e for e in edges if e[0] != e[1]})
    for layer in range(drawing.layers):
        heights = sorted(box.height for box in drawing.boxes if box.layer == layer)
        assert all(low + 1 <= high + 1e-9 for low, high in pairwise(heights))
        assert all(height + 1e-9 >= 0.5 and height <= drawing.height - 0.5 + 1e-9 for height in heights)
    place = {box.name: (box.layer, box.height) for box in drawing.boxes}
    for line in drawing.lines:
        assert (line.points[0], line.points[-1]) == (place[line.upstream], place[line.downstream])
        steps = {after[0] - before[0] for before, after in zip(line.points, line.points[1:], strict=False)}
        assert steps in ({1}, {-1})


@given(edges=EDGES)
def test_the_order_in_which_lines_are_given_does_not_matter(edges):
    assert lay_out("abcdefghij", edges) == lay_out("jihgfedcba", reversed(edges))


def test_the_neighbourhood_is_what_leads_to_a_table_and_what_follows_it():
    edges = {("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("b", "x"), ("y", "d")}
    assert neighbourhood(edges, "c", steps=1) == ({"b", "c", "d"}, {("b", "c"), ("c", "d")})
    names, kept = neighbourhood(edges, "c")
    assert names == {"a", "b", "c", "d", "e"}
    assert kept == {("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")}
