"""Statistics of snapshots against numpy, and expectations that hold or not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.expectation import FeatureExpectation
from include.features.definitions.versions import current_version
from include.features.upkeep.statistics import QUANTILES, failed_expectations, measure, statistics_of
from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration.feature_shop import DAY, NOW, Event, Order, day, load, random_facts

START = day("2024-01-01")
WINDOW = Window(START, START + DAY * 10)


def test_statistics_are_those_that_numpy_finds(warehouse):
    load(warehouse, random_facts(7, start=START - DAY * 100, days=108, customers=30, count=300))
    for view in (CUSTOMER_RFM, CUSTOMER_ACTIVITY):
        build_view(warehouse, view, WINDOW, now=NOW)
        version = current_version(warehouse, view)
        assert measure(warehouse, version, now=NOW) == 10
        found = statistics_of(warehouse, version, newest=10)
        assert len(found) == 10 * len(view.features)
        types = {feature.name: feature.type for feature in view.features}
        for each in found:
            rows = warehouse.execute(
                f"SELECT {each.feature} FROM features.{view.name} WHERE event_time = %s", (each.event_time,)
            ).fetchall()
            values = [row[0] for row in rows if row[0] is not None]
            assert (each.row_count, each.null_count) == (len(rows), len(rows) - len(values))
            assert each.distinct_count == len(set(values))
            if types[each.feature] == "text" or not values:
                assert each.minimum is each.maximum is each.mean is each.quantiles is None
                continue
            numbers = np.array(values, dtype=float)
            assert (each.minimum, each.maximum) == (numbers.min(), numbers.max())
            assert each.mean == pytest.approx(numbers.mean(), rel=1e-12, abs=1e-12)
            assert each.quantiles == list(np.quantile(numbers, QUANTILES, method="inverted_cdf"))


def test_a_corrected_snapshot_is_measured_again_and_no_other(warehouse):
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    build_view(warehouse, CUSTOMER_ACTIVITY, WINDOW, now=NOW)
    version = current_version(warehouse, CUSTOMER_ACTIVITY)
    assert measure(warehouse, version, now=NOW) == 10
    assert measure(warehouse, version, now=NOW) == 0
    load(warehouse, [Event("late", 3, START + DAY * 7)])
    build_view(warehouse, CUSTOMER_ACTIVITY, WINDOW, now=NOW + DAY)
    assert measure(warehouse, version, now=NOW + DAY) == 3
    (newest,) = [each for each in statistics_of(warehouse, version) if each.feature == "event_count_30d"]
    assert newest.maximum == 1


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        (FeatureExpectation(rows_at_least=11), "the snapshot has 11 rows or more, and it has 10"),
        (FeatureExpectation(feature="frequency", at_least=2), "frequency is 2 or more, and the least is 1"),
        (FeatureExpectation(feature="frequency", at_most=1), "frequency is 1 or less, and the greatest is 2"),
        (FeatureExpectation(feature="recency_days", at_most=1), "recency_days is 1 or less, and the greatest is 10"),
        (FeatureExpectation(rows_at_least=10), None),
        (FeatureExpectation(feature="frequency", at_least=1, at_most=2, null_share_at_most=0), None),
    ],
)
def test_what_does_not_hold_of_the_newest_snapshot_is_told_and_kept(warehouse, expected, says):
    view = replace(CUSTOMER_RFM, expectations=(expected,))
    load(warehouse, [Order(number, number, START) for number in range(1, 11)] + [Order(11, 1, START + DAY * 9)])
    build_view(warehouse, view, WINDOW, now=NOW)
    version = current_version(warehouse, view)
    assert failed_expectations(warehouse, version, now=NOW) == ([] if says is None else [says])
    kept = warehouse.execute("SELECT expectation || ', and ' || found FROM features.failed_expectations").fetchall()
    assert kept == ([] if says is None else [(says,)])


def test_rows_that_vanish_from_one_snapshot_to_the_next_are_noticed(warehouse):
    view = replace(CUSTOMER_ACTIVITY, expectations=(FeatureExpectation(rows_change_at_most=0.2),))
    load(warehouse, [Order(number, number, START) for number in range(1, 11)])
    build_view(warehouse, view, WINDOW, now=NOW)
    version = current_version(warehouse, view)
    assert failed_expectations(warehouse, version, now=NOW) == []
    warehouse.execute("UPDATE shop.orders SET customer_id = NULL WHERE order_id <= 3")
    with warehouse.transaction():  # the old snapshots keep their rows: nobody says that these changed
        warehouse.execute("TRUNCATE features.customer_touches")
    build_view(warehouse, view, Window(WINDOW.end, WINDOW.end + DAY), now=NOW)
    says = "no more than 20% of the rows go from one snapshot to the next, and 10 became 7"
    assert failed_expectations(warehouse, version, now=NOW) == [says]


def test_a_view_never_built_has_nothing_to_complain_of(warehouse):
    assert failed_expectations(warehouse, current_version(warehouse, CUSTOMER_RFM), now=NOW + timedelta(1)) == []
