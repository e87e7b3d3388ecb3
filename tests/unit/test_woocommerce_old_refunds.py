"""When refunds tell that an answer is old, and when they leave it to the shop to say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.sources.woocommerce_old_refunds import made_before, read_refunds, read_those_of, which_are_old

AFTER, BEFORE = "2024-03-01T23:59:59", "2024-03-09T00:00:00"
"""The bounds that are sent: the window is from the 2nd to the 8th of March."""


def page(*made: Any) -> bytes:
    """Refunds 1, 2, 3, … with these times of creation."""
    return json.dumps([{"id": key, "date_created_gmt": time} for key, time in enumerate(made, start=1)]).encode()


def test_only_refunds_made_before_the_window_are_doubtful():
    times = ["2024-03-01T23:59:59", "2024-03-02T00:00:00", "2021-01-01T00:00:00", "2024-03-08T23:59:59"]
    assert made_before(page(*times), AFTER) == [1, 3]


@pytest.mark.parametrize("time", [None, "", 7, {}, "soon", "0000-00-00T00:00:00", "0001-01-01T00:00:00+14:00", "1000"])
def test_a_time_that_cannot_be_read_says_nothing_about_the_page(time):
    body = page("2024-03-03T00:00:00", time)
    assert made_before(body, AFTER) == []
    assert read_refunds(body, before=BEFORE, old=()) == [(1, None), (2, None)]


def test_a_refund_made_after_the_window_makes_it_another_questions_answer():
    with pytest.raises(ValueError, match="the refund 2, made after the end of what was asked for"):
        read_refunds(page("2024-03-08T23:59:59", "2024-03-09T00:00:00"), before=BEFORE, old=())


def test_a_refund_that_the_shop_holds_for_old_is_refused_wherever_it_comes_again():
    with pytest.raises(ValueError, match="the refund 2, last modified before the start of what was asked for"):
        read_refunds(page("2024-03-03T00:00:00", "2024-02-01T00:00:00"), before=BEFORE, old={2})


def test_the_shop_is_asked_by_id_for_what_it_modified_last_before_the_window():
    asked = which_are_old([4, 7], after=AFTER)
    assert (asked["include"], asked["per_page"], asked["dates_are_gmt"]) == ("4,7", "2", "true")
    assert asked["modified_before"] == "2024-03-02T00:00:00"


def test_an_answer_with_refunds_that_were_not_asked_for_by_id_is_another_questions():
    assert read_those_of(page("2024-02-01T00:00:00"), keys=[1, 7]) == [(1, None)]
    with pytest.raises(ValueError, match="the refund 2, which is not of what was asked for"):
        read_those_of(page("2024-02-01T00:00:00", "2024-02-01T00:00:00"), keys=[1, 7])
