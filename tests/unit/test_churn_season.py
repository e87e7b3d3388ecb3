"""Season and calibration: from the past alone, and nearer to what comes than without."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.models.churn.calibration import OriginRows, calibration_for, fit_line
from include.models.churn.model import Calibration
from include.models.churn.parts import probability_of
from include.models.churn.season import RETAIL_CALENDAR, Week, day_number, days_of_the_year, fit_season
from include.models.metrics import judge
from tests.properties import examples

START = date(2022, 1, 3)
AUTUMN = (0.9, 0.9, 0.9, 1.0, 1.0, 0.9, 0.8, 0.8, 1.0, 1.3, 1.6, 1.5)


def weeks_of(months, *, count: int, customers: int = 2000, growth: float = 0.0, noise: float = 0.03, seed: int = 1):
    """Weeks whose hazard is 0.1 times the month's, times a growth per week."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        start = START + timedelta(days=7 * number)
        hazard = (
            0.1 * months[(start + timedelta(days=3)).month - 1] * math.exp(growth * number + random.normal(0, noise))
        )
        found.append(Week(start, customers, int(random.binomial(customers, -math.expm1(-hazard)))))
    return found


def mean_of(months, from_day: int, days: int) -> float:
    every = [date(1970, 1, 1) + timedelta(days=from_day + number) for number in range(days)]
    return sum(months[day.month - 1] for day in every) / days


@examples(25)
@given(st.integers(0, 100), st.integers(0, 2000))
def test_weeks_that_were_not_over_change_nothing(known, buyers):
    weeks = weeks_of(AUTUMN, count=104)
    before = day_number(START) + 7 * known + 3
    later = [Week(week.start_on, 2000, buyers) for week in weeks[known:]]
    ours = fit_season(weeks, before_day=before)
    others = fit_season(weeks[:known] + later, before_day=before)
    assert ours.exposure(before, days=90) == others.exposure(before, days=90)


def test_a_shop_that_has_seen_an_autumn_expects_its_own_more_than_the_calendars():
    weeks = weeks_of(AUTUMN, count=104)
    first_of_october = day_number(date(2023, 10, 1))
    season = fit_season(weeks, before_day=first_of_october)
    ratio = season.exposure(first_of_october, days=90) / season.exposure(day_number(date(2023, 2, 1)), days=90)
    truth = mean_of(AUTUMN, first_of_october, 90) / mean_of(AUTUMN, day_number(date(2023, 2, 1)), 90)
    usual = mean_of(RETAIL_CALENDAR, first_of_october, 90) / mean_of(RETAIL_CALENDAR, day_number(date(2023, 2, 1)), 90)
    assert truth > 1.5 > 1.3 > usual
    assert abs(ratio - truth) < abs(ratio - usual)


def test_months_that_the_shop_has_not_seen_are_those_of_the_calendar():
    until_june = fit_season(weeks_of((1.0,) * 12, count=25), before_day=day_number(date(2022, 6, 27)))
    november = until_june.exposure(day_number(date(2022, 11, 1)), days=30)
    march = until_june.exposure(day_number(date(2022, 3, 1)), days=30)
    assert november / march == pytest.approx(RETAIL_CALENDAR[10], rel=0.08)
    flat = fit_season(weeks_of((1.0,) * 12, count=25), before_day=day_number(date(2022, 6, 27)), calendar=(1.0,) * 12)
    level = flat.exposure(day_number(date(2022, 11, 1)), days=30) / flat.exposure(day_number(date(2022, 3, 1)), days=30)
    assert level == pytest.approx(1, rel=0.12)


def test_a_level_that_has_risen_stays_where_it_was_last():
    weeks = weeks_of((1.0,) * 12, count=104, growth=0.005)
    at = day_number(START) + 7 * 104
    season = fit_season(weeks, before_day=at, calendar=(1.0,) * 12)
    rise = season.exposure(at, days=30) / season.exposure(at - 364, days=30)
    assert rise == pytest.approx(math.exp(0.005 * 48), rel=0.12)


def test_a_shop_without_weeks_has_the_calendar_alone():
    season = fit_season([], before_day=day_number(date(2022, 6, 1)))
    ratio = season.exposure(day_number(date(2022, 12, 1)), days=31) / season.exposure(day_number(START), days=20)
    assert ratio == pytest.approx(RETAIL_CALENDAR[11] / RETAIL_CALENDAR[0])


def test_each_day_of_the_year_is_the_next_one():
    days = days_of_the_year(day_number(date(2023, 9, 10)))
    assert len(days) == 366
    for number, day in enumerate(days[:365], 1):
        at = date(1970, 1, 1) + timedelta(days=day)
        assert date(2023, 9, 10) <= at < date(2024, 9, 10)
        assert at.timetuple().tm_yday == number


def origin(
    *, slope: float, level: float, exposure: float, seed: int, rows: int = 4000, day: int = 19_000
) -> OriginRows:
    """Rows whose truth is the line through z, with the hazard times the exposure."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 1.5, rows)
    p = probability_of(Calibration(slope, level, (exposure,) * 366).log_odds(z, np.ones(rows)))
    return OriginRows(day, z, random.random(rows) < p, exposure)


def test_the_slope_of_the_line_is_found_and_the_season_is_not_taken_for_it():
    rows = [
        origin(slope=0.7, level=0.0, exposure=each, seed=n, day=19_000 + 90 * n) for n, each in enumerate((0.7, 1.4))
    ]
    slope, intercept = fit_line(rows, horizon_days=90)
    assert slope == pytest.approx(0.7, abs=0.05)
    assert intercept == pytest.approx(0, abs=0.05)


def test_an_error_in_level_counts_the_more_the_more_windows_show_it():
    one = fit_line([origin(slope=1, level=0.5, exposure=1, seed=1)], horizon_days=90)[1]
    many = [origin(slope=1, level=0.5, exposure=1, seed=n, day=19_000 + 90 * n) for n in range(8)]
    assert 0.1 < one < 0.25 < fit_line(many, horizon_days=90)[1] < 0.5
    assert fit_line([], horizon_days=90) == (1.0, 0.0)


def test_a_model_of_the_summer_is_nearer_to_the_truth_of_autumn_with_the_season():
    """A year and a half of weeks; trained in spring and summer, asked in October."""
    weeks = weeks_of(AUTUMN, count=100)
    asked = day_number(date(2023, 10, 1))
    trained = np.array([day_number(date(2023, 2, 1)) + 14 * number for number in range(8)])
    season = fit_season(weeks, before_day=asked)
    calibration = calibration_for((1.0, 0.0), season, np.repeat(trained, 100), from_day=asked, horizon_days=90)
    truth = mean_of(AUTUMN, asked, 90) / np.mean([mean_of(AUTUMN, int(day), 90) for day in trained])
    came = origin(slope=1.0, level=0.0, exposure=truth, seed=5)
    days = np.full(len(came.log_odds), date(2023, 10, 1).timetuple().tm_yday)
    with_season = probability_of(calibration.log_odds(came.log_odds, days))
    without = probability_of(Calibration().log_odds(came.log_odds, days))
    error = {
        name: judge(came.outcomes, p)["expected_calibration_error"]
        for name, p in (("with", with_season), ("without", without))
    }
    assert error["with"] < 0.03 < 0.08 < error["without"]
