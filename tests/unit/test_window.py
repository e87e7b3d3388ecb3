"""Windows: half-open, in UTC, never empty, never naive."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.entities.window import EmptyWindow, NaiveTime, Window

START = datetime(2024, 3, 1, tzinfo=UTC)
instants = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.timezones())  # noqa: DTZ001


@given(one=instants, other=instants)
def test_a_window_is_the_same_instants_in_utc_or_it_is_refused(one, other):
    if other.timestamp() > one.timestamp():
        window = Window(one, other)
        assert (window.start.timestamp(), window.end.timestamp()) == (one.timestamp(), other.timestamp())
        assert window.start.tzinfo is UTC and window.end.tzinfo is UTC
    else:
        with pytest.raises(EmptyWindow, match="its end must be after its start"):
            Window(one, other)


def test_an_empty_window_names_itself_and_how_to_write_a_day():
    with pytest.raises(EmptyWindow, match=re.escape("2024-03-01/2024-03-01 is empty") + ".*start=D, end=D"):
        Window(START, START)


@pytest.mark.parametrize("name", ["start", "end"])
def test_a_time_without_zone_is_refused_by_name_with_an_example(name):
    bounds = {"start": START, "end": START + timedelta(days=1)}
    bounds[name] = bounds[name].replace(tzinfo=None)
    with pytest.raises(NaiveTime, match=rf"window's {name} .* has no time zone.*\+00:00"):
        Window(**bounds)


def test_midnights_are_written_as_days_and_other_instants_in_full():
    assert str(Window(START, START + timedelta(days=1))) == "2024-03-01/2024-03-02"
    assert str(Window(START, START + timedelta(hours=1, microseconds=5))) == "2024-03-01/2024-03-01T01:00:00.000005Z"


def test_the_folder_is_the_same_whatever_zone_the_window_was_written_in():
    east = timezone(timedelta(hours=9))
    there = Window(START.astimezone(east), (START + timedelta(days=1)).astimezone(east))
    assert there.folder == "20240301T000000Z_20240302T000000Z"
    assert there == Window(START, START + timedelta(days=1))


def test_looking_back_moves_the_start_alone():
    widened = Window(START, START + timedelta(days=1)).widened(back=timedelta(hours=1))
    assert widened == Window(START - timedelta(hours=1), START + timedelta(days=1))
