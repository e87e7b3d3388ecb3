"""Definitions of feature views, and which snapshots a window owns."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.window import Window
from include.features.definitions.as_json import view_as_json, view_from_json
from include.features.definitions.entity import CUSTOMER, JoinKey
from include.features.definitions.service import FeatureService
from include.features.definitions.snapshots import snapshots_of
from include.features.definitions.view import BadDefinition
from include.features.registry import FEATURE_VIEWS, REGISTRY, Registry, UnknownFeature
from include.features.views.customer_rfm import CUSTOMER_RFM


def test_registered_views_go_by_their_names_and_their_queries_say_what_a_row_is():
    for name, view in FEATURE_VIEWS.items():
        assert view.name == name
        assert view.query.startswith("-- One row per ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lag": timedelta(seconds=-1)}, "known before its snapshot"),
        ({"ttl": timedelta(0)}, "is not positive"),
        ({"ttl": timedelta(days=-1)}, "is not positive"),
        ({"features": ()}, "no features"),
        ({"reads": ()}, "reads no relation"),
        ({"name": "no_such_view", "query": ""}, "it has no query: write"),
        ({"memory": timedelta(0)}, "its memory 0:00:00 is not positive"),
        ({"owner": " "}, "no owner"),
        ({"features": (replace(CUSTOMER_RFM.features[0], unit=""),)}, "no unit or no description"),
        ({"features": (replace(CUSTOMER_RFM.features[0], name="event_time"),)}, "'event_time' stands there twice"),
        ({"name": "Bad Name"}, "lower snake case"),
        ({"entity": replace(CUSTOMER, join_keys=(JoinKey("frequency"),))}, "stands there twice"),
    ],
)
def test_a_contradictory_view_is_refused_with_the_reason(change, says):
    with pytest.raises(BadDefinition, match=says):
        replace(CUSTOMER_RFM, **change)


def test_an_unknown_view_or_feature_is_named_with_those_there_are():
    with pytest.raises(UnknownFeature, match="customer_rfm, customer_activity"):
        REGISTRY.view("customer_rfn")
    with pytest.raises(UnknownFeature, match=r"no feature 'recency'.*recency_days"):
        REGISTRY.features_of("customer_rfm:recency")


def test_the_definition_as_json_is_the_definition_again():
    for view in FEATURE_VIEWS.values():
        again = view_from_json(json.loads(json.dumps(view_as_json(view))))
        assert again == view
        assert again.digest == view.digest


def test_words_and_layout_make_no_new_version_and_everything_else_does():
    same = replace(CUSTOMER_RFM, description="Other words.", query="-- a comment\n" + CUSTOMER_RFM.query + "\n\n")
    assert same.digest == CUSTOMER_RFM.digest
    others = [{"lag": timedelta(1)}, {"ttl": None}, {"cadence": "weekly"}, {"query": CUSTOMER_RFM.query + " LIMIT 1"}]
    assert len({replace(CUSTOMER_RFM, **change).digest for change in [{}, *others]}) == 5


def test_two_views_may_not_share_a_feature_and_a_service_wants_what_there_is():
    with pytest.raises(BadDefinition, match="'recency_days' is in customer_rfm and in other_rfm"):
        Registry(views=(CUSTOMER_RFM, replace(CUSTOMER_RFM, name="other_rfm")))
    service = FeatureService(name="scores", features=("customer_rfm:no_such",), description="Scores.", owner="growth")
    with pytest.raises(BadDefinition, match=r"'scores' wants 'customer_rfm:no_such'.*It has: recency_days"):
        Registry(views=(CUSTOMER_RFM,), services=(service,))


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


def test_a_cadence_leaves_midnights_out():
    year = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    assert [t.day for t in snapshots_of(year, cadence="monthly")] == [1] * 12
    weekly = snapshots_of(year, cadence="weekly")
    assert {t.weekday() for t in weekly} == {0}
    assert len(weekly) == 52
