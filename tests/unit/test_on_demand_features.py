"""Features computed at read time, against plain datetime arithmetic; many rows at once against one at a time."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from include.features.definitions.on_demand import (
    INSTANT,
    ON_DEMAND_FEATURES,
    BadColumn,
    OnDemandFeature,
    compute_on_demand,
    inputs_of,
)
from include.features.definitions.view import BadDefinition
from include.features.registry import REGISTRY

ALL = tuple(ON_DEMAND_FEATURES.values())
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)

Row = tuple[datetime, datetime | None, float | None]
"""The instant, the snapshot that was picked and its recency in days."""

_ANY_INSTANT = st.one_of(
    st.datetimes(timezones=st.just(UTC)),
    st.builds(
        lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds),
        st.integers(-(2**48), 2**51),
    ),
    st.builds(
        lambda hours, step: datetime(2024, 1, 1, tzinfo=UTC) + HOUR * hours + timedelta(microseconds=step),
        st.integers(-500_000, 500_000),
        st.sampled_from((-1, 0, 1)),
    ),
)
_DAYS = st.one_of(st.floats(0, 4000), st.floats(allow_nan=False, allow_infinity=False))
_ROWS = st.lists(st.tuples(_ANY_INSTANT, st.none() | _ANY_INSTANT, st.none() | _DAYS), max_size=30)


def table_of(rows: Sequence[Row]) -> pa.Table:
    return pa.table(
        {
            "at": pa.array([row[0] for row in rows], INSTANT),
            "customer_rfm__event_time": pa.array([row[1] for row in rows], INSTANT),
            "recency_days": pa.array([row[2] for row in rows], pa.float64()),
            "customer_engagement__event_time": pa.array([row[1] for row in rows], INSTANT),
            "days_since_last_visit": pa.array([None if row[2] is None else row[2] / 2 for row in rows], pa.float64()),
            "customer_lifetime__event_time": pa.array([row[1] for row in rows], INSTANT),
            "repeat_purchase_days": pa.array([3] * len(rows), pa.int64()),
            "lifetime_age_days": pa.array([100] * len(rows), pa.int64()),
        }
    )


def plainly(at: datetime, snapshot: datetime | None, recency_days: float | None) -> dict[str, Any]:
    angle = math.tau * at.hour / 24
    bought = visited = None
    if snapshot is not None and recency_days is not None:
        elapsed = float((at - snapshot) // MICROSECOND) / 86_400e6
        bought, visited = recency_days + elapsed, recency_days / 2 + elapsed
    rate = (3 + 1) / (100 + 60)
    return {
        "recency_days_now": bought,
        "expected_purchases_since_activity": None if bought is None else rate * min(bought, visited),
        "expected_purchases_before_visit": None if bought is None else rate * max(bought - visited, 0.0),
        "request_hour": at.hour,
        "request_weekday": at.isoweekday(),
        "request_is_weekend": int(at.weekday() in (5, 6)),
        "request_day_of_year": at.timetuple().tm_yday,
        "request_hour_sine": math.sin(angle),
        "request_hour_cosine": math.cos(angle),
    }


def bits(values: pa.Array) -> list[str | None]:
    """Every value with every digit and its sign, also that of zero."""
    return [None if value is None else repr(value) for value in values.to_pylist()]


@given(_ROWS)
@example([(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), datetime(1970, 1, 1, tzinfo=UTC), 0.0)])
@example([(datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), 1e300)])
def test_every_feature_equals_plain_datetime_arithmetic(rows):
    found = compute_on_demand(ALL, table_of(rows))
    assert list(found) == list(ON_DEMAND_FEATURES)
    for position, row in enumerate(rows):
        for name, expected in plainly(*row).items():
            actual = found[name][position].as_py()
            if name in ("request_hour_sine", "request_hour_cosine"):
                assert math.isclose(actual, expected, rel_tol=1e-12, abs_tol=1e-12), (row, name)
            else:
                assert (actual, type(actual)) == (expected, type(expected)), (row, name)


@given(_ROWS, st.lists(st.integers(0, 30), max_size=4))
def test_many_rows_at_once_are_bit_for_bit_those_computed_one_at_a_time(rows, cuts):
    table = table_of(rows)
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    in_chunks = pa.concat_tables([table.slice(start, end - start) for start, end in itertools.pairwise(edges)])
    together, chunked = compute_on_demand(ALL, table), compute_on_demand(ALL, in_chunks)
    alone = [compute_on_demand(ALL, table_of([row])) for row in rows]
    for name in ON_DEMAND_FEATURES:
        one_by_one = [bit for each in alone for bit in bits(each[name])]
        assert bits(together[name]) == bits(chunked[name]) == one_by_one, name


def test_a_million_rows_are_bit_for_bit_those_computed_one_at_a_time():
    seed = 20240229
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    count = 1_000_000
    at = rng.integers(-(2**51), 2**51, count)
    columns = {
        "at": pa.array(at).cast(INSTANT),
        "customer_rfm__event_time": pa.array(at - rng.integers(0, 2**42, count), mask=rng.random(count) < 0.1).cast(
            INSTANT
        ),
        "recency_days": pa.array(rng.exponential(90, count), mask=rng.random(count) < 0.1),
        "days_since_last_visit": pa.array(rng.exponential(30, count), mask=rng.random(count) < 0.1),
        "repeat_purchase_days": pa.array(rng.integers(0, 30, count)),
        "lifetime_age_days": pa.array(rng.integers(0, 700, count)),
    }
    columns["customer_engagement__event_time"] = columns["customer_lifetime__event_time"] = columns[
        "customer_rfm__event_time"
    ]
    table = pa.table(columns)
    together = compute_on_demand(ALL, table)
    for position in rng.choice(count, 2000, replace=False).tolist():
        alone = compute_on_demand(ALL, table.slice(position, 1))
        for name, values in alone.items():
            assert bits(values) == bits(together[name].slice(position, 1)), (position, name)


def test_recency_grows_by_the_time_since_the_snapshot_and_is_null_where_the_view_is_not_present():
    snapshot = datetime(2024, 3, 31, tzinfo=UTC)
    rows = [(snapshot + HOUR * 6, snapshot, 2.5), (snapshot, snapshot, 2.5), (snapshot, None, None)]
    rows.append(
        (snapshot + DAY * 8, snapshot, None)
    )  # outside of its ttl: a snapshot was picked, its features are null
    found = compute_on_demand([ON_DEMAND_FEATURES["recency_days_now"]], table_of(rows))
    assert found["recency_days_now"].to_pylist() == [2.75, 2.5, None, None]


def test_a_silence_is_told_by_purchases_only_where_no_visit_is_known():
    table = table_of([(datetime(2024, 3, 31, tzinfo=UTC), datetime(2024, 3, 31, tzinfo=UTC), 40.0)])
    place = table.schema.get_field_index("days_since_last_visit")
    unseen = table.set_column(place, "days_since_last_visit", pa.array([None], pa.float64()))
    found = compute_on_demand(ALL, unseen)
    assert found["expected_purchases_since_activity"].to_pylist() == [4 / 160 * 40]
    assert found["expected_purchases_before_visit"].to_pylist() == [None]


def test_sine_and_cosine_of_the_hours_go_round_the_circle_without_a_negative_zero():
    day = [(datetime(2024, 1, 1, hour, 59, tzinfo=UTC), None, None) for hour in range(24)]
    found = compute_on_demand(ALL, table_of(day))
    sines, cosines = found["request_hour_sine"].to_pylist(), found["request_hour_cosine"].to_pylist()
    assert cosines == sines[6:] + sines[:6]
    assert (sines[0], sines[6], sines[12], sines[18]) == (0.0, 1.0, 0.0, -1.0)
    assert "-0.0" not in map(repr, sines + cosines)


def test_no_rows_give_no_values_of_the_declared_types():
    found = compute_on_demand(ALL, table_of([]))
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(ON_DEMAND_FEATURES, 0)
    assert found["request_hour"].type == pa.int64()
    assert found["recency_days_now"].type == pa.float64()


def test_only_the_columns_of_the_features_asked_for_are_needed():
    hour = ON_DEMAND_FEATURES["request_hour"]
    found = compute_on_demand([hour], pa.table({"at": pa.array([datetime(2024, 1, 1, 7, tzinfo=UTC)], INSTANT)}))
    assert {name: values.to_pylist() for name, values in found.items()} == {"request_hour": [7]}
    assert compute_on_demand([], table_of([])) == {}


def test_inputs_are_named_once_in_the_order_first_asked_for():
    def feature(name: str, *inputs: str) -> OnDemandFeature:
        return OnDemandFeature(
            name=name, type="number", unit="1", description="one", inputs=inputs, compute=lambda batch: batch["x"]
        )

    first, second = feature("first", "view_b:x", "view_a:x"), feature("second", "view_a:y", "view_b:x")
    assert inputs_of([first, second]) == ("view_b:x", "view_a:x", "view_a:y")
    assert inputs_of(ALL) == (
        "customer_rfm:recency_days",
        "customer_engagement:days_since_last_visit",
        "customer_lifetime:repeat_purchase_days",
        "customer_lifetime:lifetime_age_days",
    )
    assert inputs_of([]) == ()


def test_each_reads_registered_features_and_has_a_name_that_no_feature_of_a_view_has():
    taken = {name for view in REGISTRY.views.values() for name in view.feature_names}
    for name, feature in ON_DEMAND_FEATURES.items():
        assert name == feature.name
        assert name not in taken
    for wanted in inputs_of(ALL):
        view, (name,) = REGISTRY.features_of(wanted)
        assert wanted == f"{view}:{name}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "Hour"}, "lower snake case"),
        ({"unit": " "}, "no unit"),
        ({"description": ""}, "no description"),
        ({"inputs": ("customer_rfm",)}, "'customer_rfm' is not view:feature"),
        ({"inputs": ("a:b:c",)}, "'a:b:c' is not view:feature"),
        ({"inputs": (":x",)}, "':x' is not view:feature"),
    ],
)
def test_a_definition_that_contradicts_itself_is_refused_with_the_reason(change, says):
    good: dict[str, Any] = {
        "name": "hour", "type": "integer", "unit": "hour", "description": "h", "compute": lambda b: b
    }  # fmt: skip
    OnDemandFeature(**good)
    with pytest.raises(BadDefinition, match=says):
        OnDemandFeature(**good | change)


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("at", None, "no column 'at'"),
        ("recency_days", None, "no column 'recency_days'"),
        ("customer_rfm__event_time", None, "no column 'customer_rfm__event_time'"),
        ("at", pa.array([0], pa.timestamp("us")), r"'at' is timestamp\[us\]"),
        ("at", pa.array([0], pa.timestamp("ns", tz="UTC")), r"'at' is timestamp\[ns, tz=UTC\]"),
        ("customer_rfm__event_time", pa.array([0], pa.int64()), "event_time' is int64"),
        ("at", pa.array([None], INSTANT), "'at' is null in 1 of 1 rows"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused_with_the_column_named(column, values, says):
    table = table_of([(datetime(2024, 1, 1, tzinfo=UTC), None, None)]).drop_columns([column])
    if values is not None:
        table = table.append_column(column, values)
    with pytest.raises(BadColumn, match=says):
        compute_on_demand(ALL, table)


@pytest.mark.parametrize("given_instead", [pa.array([1.0]), pa.array([1, 2])])
def test_a_feature_that_gives_another_type_or_number_of_values_is_refused(given_instead):
    wrong = OnDemandFeature(
        name="wrong", type="integer", unit="1", description="one", compute=lambda batch: given_instead
    )
    with pytest.raises(BadColumn, match="'wrong' gave"):
        compute_on_demand([wrong], table_of([(datetime(2024, 1, 1, tzinfo=UTC), None, None)]))


def test_importing_them_costs_no_more_than_arrow_and_numpy():
    code = (
        "import sys, pyarrow.compute, numpy; before = set(sys.modules); import include.features.definitions.on_demand; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= {"include", "numpy", "pyarrow"}
