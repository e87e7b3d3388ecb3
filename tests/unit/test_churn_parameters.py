"""Which snapshots the churn model is trained and tested at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from include.models.churn.parameters import ChurnParameters

instants = st.datetimes(datetime(2020, 1, 1), datetime(2023, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
choices = st.builds(
    ChurnParameters,
    horizon_days=st.integers(1, 120),
    step_days=st.integers(1, 40),
    most_snapshots=st.integers(1, 40),
    least_history_days=st.integers(0, 90),
)


@given(parameters=choices, data_start=instants, days=st.integers(1, 900), hours=st.integers(0, 23))
def test_no_label_window_reaches_past_what_it_may_see(parameters, data_start, days, hours):
    coverage_end = data_start + timedelta(days=days, hours=hours)
    horizon = timedelta(days=parameters.horizon_days)
    test_at = parameters.test_snapshot(coverage_end=coverage_end)
    assert test_at + horizon <= coverage_end < test_at + horizon + timedelta(days=1)
    training = parameters.training_snapshots(coverage_end=coverage_end, data_start=data_start)
    assert training == sorted(set(training))
    assert len(training) <= parameters.most_snapshots
    for snapshot in [*training, test_at]:
        assert (snapshot.hour, snapshot.minute, snapshot.second, snapshot.microsecond) == (0, 0, 0, 0)
    for snapshot in training:
        assert snapshot + horizon <= test_at
        assert snapshot - data_start >= timedelta(days=parameters.least_history_days)


def test_the_snapshots_of_a_known_range():
    parameters = ChurnParameters(horizon_days=90, step_days=14, least_history_days=60)
    end, start = datetime(2011, 12, 10, tzinfo=UTC), datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert parameters.test_snapshot(coverage_end=end) == datetime(2011, 9, 11, tzinfo=UTC)
    training = parameters.training_snapshots(coverage_end=end, data_start=start)
    assert training[-1] == datetime(2011, 6, 13, tzinfo=UTC)
    assert training[0] == datetime(2011, 2, 7, tzinfo=UTC)
    assert len(training) == 10
