"""Replay of quarantine over the in-memory doubles."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.ingestion.quarantine import Selection
from tests.properties import examples
from tests.replay_contract import (
    FIXED,
    NEXT_DAY,
    WINDOW,
    Orders,
    ReplayContract,
    assert_same_tables,
    from_scratch,
    ingest,
    line,
    new_landing,
    order,
    replay,
)
from tests.warehouse_stores import StoresInMemory


class TestReplayInMemory(ReplayContract):
    @pytest.fixture
    def stores(self) -> StoresInMemory:
        return StoresInMemory()


def versions(start_hour: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Versions of three orders, each in an hour of its own: some too dear, some with lines that cannot be."""
    one = st.builds(
        lambda key, lines, is_dear: (key, [line(key * 10 + number, quantity=quantity) for number, quantity in lines],
                                     "500.00" if is_dear else "5.00"),
        st.integers(1, 3),
        st.lists(st.tuples(st.integers(1, 3), st.sampled_from([1, 2, -1])), max_size=3, unique_by=lambda each: each[0]),
        st.booleans(),
    )  # fmt: skip
    return st.lists(one, max_size=6).map(
        lambda found: [
            order(key, *lines, hour=start_hour + hour, total=total, **({} if lines else {"line_items": []}))
            for hour, (key, lines, total) in enumerate(found)
        ]
    )


@examples(50)
@given(first=versions(9), second=versions(16), partly=st.sampled_from(["not_too_much", "quantity_positive", None]))
def test_whatever_was_rejected_a_replay_after_the_fix_gives_what_the_fixed_code_gives(first, second, partly):
    stores, landing = StoresInMemory(), new_landing()
    ingest(stores, landing, Orders(first))
    ingest(stores, landing, Orders(second), NEXT_DAY)
    if partly is not None:
        replay(stores, landing, Orders(entity=FIXED), Selection(rule_id=partly))
    replay(stores, landing, Orders(entity=FIXED))
    assert all(each["resolution"] for each in stores.kept_rejections())
    fixed = from_scratch((Orders(first, entity=FIXED), WINDOW), (Orders(second, entity=FIXED), NEXT_DAY))
    assert_same_tables(stores, fixed)
