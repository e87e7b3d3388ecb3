"""The search through sorted rows, against a loop in Python, where numbers fit into one and where they do not."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from include.features.history.mirror_search import last_up_to

INSTANTS = st.one_of(st.integers(0, 20), st.integers(-(2**62), 2**62))


@given(
    st.lists(st.lists(INSTANTS, max_size=6).map(sorted), max_size=6),
    st.lists(st.tuples(st.integers(0, 5), INSTANTS), max_size=20),
)
def test_the_last_value_up_to_a_limit_is_found_in_its_group_alone(groups, asked):
    asked = [(group, limit) for group, limit in asked if group < len(groups)]
    bounds = np.cumsum([0, *map(len, groups)])
    found = last_up_to(
        np.array([value for group in groups for value in group], dtype=np.int64),
        np.array([limit for _, limit in asked], dtype=np.int64),
        groups=np.array([group for group, _ in asked], dtype=np.int64),
        bounds=bounds,
    )
    for place, (group, limit) in zip(found, asked, strict=True):
        reached = sum(value <= limit for value in groups[group])
        assert place == bounds[group] + reached - 1
