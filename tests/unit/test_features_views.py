"""Definitions of feature views, and which snapshots a window owns."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.registry import ENTITIES
from include.entities.window import Window
from include.features.registry import CUSTOMER_RFM, FEATURE_VIEWS, UnknownFeature, feature_view
from include.features.selection import selections_of
from include.features.snapshots import snapshots_of
from include.features.view import BadFeatureView


def test_registered_views_read_known_entities_and_go_by_their_names():
    for name, view in FEATURE_VIEWS.items():
        assert view.name == name
        assert set(view.reads) <= ENTITIES.keys()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lag": timedelta(seconds=-1)}, "known before its snapshot"),
        ({"ttl": timedelta(0)}, "is not positive"),
        ({"ttl": timedelta(days=-1)}, "is not positive"),
        ({"features": ()}, "no features"),
        ({"reads": ()}, "reads no entity"),
        ({"name": "no_such_view"}, "does not exist"),
        ({"name": "Bad Name"}, "lower snake case"),
        ({"key": "frequency"}, "stands there twice"),
    ],
)
def test_a_contradictory_view_is_refused_with_the_reason(change, says):
    with pytest.raises(BadFeatureView, match=says):
        replace(CUSTOMER_RFM, **change)


def test_an_unknown_view_or_feature_is_named_with_those_there_are():
    with pytest.raises(UnknownFeature, match="customer_rfm, customer_activity"):
        feature_view("customer_rfn")
    with pytest.raises(UnknownFeature, match=r"no feature 'recency'.*recency_days"):
        selections_of(["customer_rfm:recency"])


def test_features_are_selected_once_in_the_order_asked():
    first, second = selections_of(["customer_activity:tenure_days", "customer_rfm:segment", "customer_rfm"])
    assert first.columns == ("tenure_days", "customer_activity_status")
    assert second.columns[:2] == ("segment", "recency_days")
    assert len(second.columns) == len(CUSTOMER_RFM.features) + 1


def test_the_run_of_a_day_owns_the_midnight_that_ends_it():
    start = datetime(2024, 2, 28, tzinfo=UTC)
    assert snapshots_of(Window(start, start + timedelta(days=1))) == [datetime(2024, 2, 29, tzinfo=UTC)]


instants = st.datetimes(datetime(2020, 1, 1), datetime(2020, 3, 15), timezones=st.just(UTC))  # noqa: DTZ001


@given(times=st.lists(instants, min_size=2, max_size=6, unique=True))
def test_neighbouring_windows_share_their_midnights_out_without_gap_or_overlap(times):
    times.sort()
    parts = [t for pair in itertools.pairwise(times) for t in snapshots_of(Window(*pair))]
    midnights = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(90)]
    assert parts == [t for t in midnights if times[0] < t <= times[-1]]
