"""From scores of candidates to lists: beside sorting in plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from include.models.recommendations.blend import SOURCES, Candidates

scores = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
rows = st.lists(st.tuples(st.tuples(*[scores] * len(SOURCES)), st.booleans(), st.booleans()), min_size=1, max_size=12)
weights = st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * len(SOURCES))


@given(rows, weights, st.integers(1, 14), st.booleans())
def test_a_list_holds_the_best_sums_first_and_of_equal_ones_the_smaller_id(candidates, weighed, length, new_only):
    """Halves and quarters are exact in 32 bits, so that equal sums are equal in both."""
    products = np.array([[-1 if is_twin else number for number, (_, _, is_twin) in enumerate(candidates)]])
    given_scores = np.array([[each for each, _, _ in candidates]], np.float32)
    is_bought = np.array([[bought for _, bought, _ in candidates]])
    listed, sums = Candidates(products, given_scores, is_bought).lists(weighed, length=length, new_only=new_only)
    expected = []
    for number, (each, bought, is_twin) in enumerate(candidates):
        total = sum(score * weight for score, weight in zip(each, weighed, strict=True))
        if total > 0 and not is_twin and not (new_only and bought):
            expected.append((-total, number))
    expected = sorted(expected)[:length]
    assert listed[0].tolist() == [number for _, number in expected] + [-1] * (length - len(expected))
    assert sums[0][: len(expected)].tolist() == [-total for total, _ in expected]
