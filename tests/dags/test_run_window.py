"""How a run becomes a window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from include.entities.window import EmptyWindow, NaiveTime, Window

DAY_1, DAY_2, DAY_3 = (datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2, 3))


def context(*, params=None, interval=(None, None), events=None):
    run = SimpleNamespace(run_id="a_run", data_interval_start=interval[0], data_interval_end=interval[1])
    return {"params": params or {}, "dag_run": run, "triggering_asset_events": events}


def event(start, end):
    return SimpleNamespace(extra={"start": start.isoformat(), "end": end.isoformat()})


def window_of(**settings):
    from orchestration.window import run_window

    return run_window(context(**settings))


def test_start_and_end_of_the_trigger_form_come_first():
    params = {"start": "2024-05-01T00:00:00Z", "end": "2024-05-03T02:00:00+02:00"}
    assert window_of(params=params, interval=(DAY_1, DAY_2)) == Window(DAY_1, DAY_3)


def test_without_them_the_data_interval_counts():
    assert window_of(params={"start": None, "end": None}, interval=(DAY_1, DAY_2)) == Window(DAY_1, DAY_2)


def test_events_that_queued_up_are_covered_from_the_first_start_to_the_last_end():
    events = {"asset": [event(DAY_2, DAY_3), event(DAY_1, DAY_2)], "without window": [SimpleNamespace(extra={})]}
    assert window_of(events=events) == Window(DAY_1, DAY_3)


def test_an_empty_interval_is_refused_and_not_read_as_nothing_to_do():
    with pytest.raises(EmptyWindow, match="its end must be after its start"):
        window_of(interval=(DAY_1, DAY_1))


def test_an_inverted_range_is_refused():
    with pytest.raises(EmptyWindow):
        window_of(params={"start": "2024-05-03T00:00:00Z", "end": "2024-05-01T00:00:00Z"})


def test_half_a_range_is_refused():
    from orchestration.window import NoWindow

    with pytest.raises(NoWindow, match="has a `start` and no `end`"):
        window_of(params={"start": "2024-05-03T00:00:00Z"})


def test_a_time_without_zone_is_refused():
    with pytest.raises(NaiveTime, match="no time zone"):
        window_of(params={"start": "2024-05-01T00:00:00", "end": "2024-05-03T00:00:00"})


def test_a_run_that_says_nothing_is_refused_with_what_to_do():
    from orchestration.window import NoWindow

    with pytest.raises(NoWindow, match="fill in `start` and `end`"):
        window_of()


def test_a_window_that_is_not_over_is_refused():
    from orchestration.window import WindowNotOver

    tomorrow = datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(WindowNotOver, match="ends in the future"):
        window_of(interval=(DAY_1, tomorrow))
