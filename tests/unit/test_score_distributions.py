"""Bins and the population stability index, against tables worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.models.scores.distribution import Binning, null_share, population_stability_index


def column(values, type_=None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, type_)])


def test_the_index_is_that_of_a_table_worked_out_by_hand() -> None:
    """Shares 0.2, 0.5, 0.3 before and 0.4, 0.4, 0.2 now:

    0.2 ln 2 + (-0.1) ln 0.8 + (-0.1) ln (2/3) = 0.138629 + 0.022314 + 0.040547 = 0.201490.
    """
    assert population_stability_index(np.array([20, 50, 30]), np.array([400, 400, 200])) == pytest.approx(
        0.201490, abs=1e-6
    )


def test_an_empty_bin_counts_as_one_row_in_ten_thousand() -> None:
    """Shares 0.5, 0.5 before and 1, 0 now: 0.5 ln 2 + (0.0001 - 0.5) ln 0.0002 = 0.346574 + 4.257745 = 4.604319."""
    assert population_stability_index(np.array([1, 1]), np.array([7, 0])) == pytest.approx(4.604319, abs=1e-6)


def test_the_same_shares_or_no_rows_are_no_drift() -> None:
    assert population_stability_index(np.array([1, 2, 3]), np.array([10, 20, 30])) == 0
    assert population_stability_index(np.array([0, 0]), np.array([1, 2])) == 0
    assert population_stability_index(np.array([1, 2]), np.array([0, 0])) == 0


def test_numbers_are_binned_by_tenths_and_nulls_by_themselves() -> None:
    binning = Binning.of(column([float(each) for each in range(1, 101)]))
    assert binning.edges == (10, 20, 30, 40, 50, 60, 70, 80, 90)
    counts = binning.count(column([0.0, 10.0, 10.5, 20.0, 90.0, 91.0, 1e9, None, None]))
    assert counts.tolist() == [2, 2, 0, 0, 0, 0, 0, 0, 1, 2, 2]
    assert null_share(counts) == pytest.approx(2 / 9)


def test_equal_tenths_are_one_bin_and_a_constant_is_told_from_what_is_above_and_below_it() -> None:
    assert Binning.of(column([0] * 95 + [1, 2, 3, 4, 5])).edges == (0,)
    constant = Binning.of(column([7, 7, 7, None]))
    assert constant.count(column([7, 7])).tolist() == [2, 0, 0]
    assert constant.count(column([8, 6, None])).tolist() == [1, 1, 1]


def test_texts_have_a_bin_each_and_one_for_those_training_never_saw() -> None:
    binning = Binning.of(column(["tea", "cups", None, "tea"]))
    assert binning.categories == ("cups", "tea")
    assert binning.count(column(["tea", "tea", "lamps", None, "cups"])).tolist() == [1, 2, 1, 1]


def test_a_column_of_nothing_but_nulls_has_one_bin_and_that_of_nulls() -> None:
    binning = Binning.of(column([None, None], pa.float64()))
    assert binning.count(column([None, 3.0])).tolist() == [1, 1]


@given(st.lists(st.one_of(st.none(), st.integers(-5, 5), st.floats(-1e9, 1e9)), max_size=60), st.integers(1, 7))
def test_batches_add_up_to_the_whole_and_every_row_is_in_one_bin(values, size) -> None:
    values = [None if each is None else float(each) for each in values]
    binning = Binning.of(column(values[::2], pa.float64()))
    whole = binning.count(column(values, pa.float64()))
    parts = [binning.count(column(values[start : start + size], pa.float64())) for start in range(0, len(values), size)]
    assert whole.sum() == len(values)
    assert sum(parts, np.zeros_like(whole)).tolist() == whole.tolist()
    edges = [-np.inf, *binning.edges, np.inf]
    plain = [sum(1 for v in values if v is not None and low < v <= high) for low, high in pairwise(edges)]
    assert whole.tolist() == [*plain, values.count(None)]
