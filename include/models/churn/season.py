"""How busy the weeks to come will be, from the weeks that were: what moves all customers at once.

The share of churners swings through the year, and a model calibrated on one season is wrong in the next. What a season
does to all customers alike is estimated here from the past alone. Of each week the hazard of a purchase among customers
who bought lately is observed, `h = -log(1 - buyers / customers)`. Its logarithm is taken for

    level of the week + month of the year + noise,

where the level wanders a little from week to week, and the months begin as a retail calendar (below) and become those
of the shop as far as it has seen them. All of it is normal, so the estimate is one linear system (a local level model
with dummy seasonals; A. Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter, ch. 2). Into
the future the level stays what it was last and the months go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

RECENT_DAYS = 60
"""Who bought in so many days before a week counts as a customer who may buy in it."""
_EPOCH = date(1970, 1, 1)

RETAIL_CALENDAR = (0.90, 0.90, 0.97, 0.97, 1.0, 0.97, 0.95, 0.97, 1.0, 1.05, 1.18, 1.25)
"""How busy January to December are for shops in general. An assumption, and a mild one: it speaks only for months that
the shop has not seen yet. Shops with another year set their own, or twelve ones for none."""

_LEVEL_STEP = 0.03
"""Standard deviation of the level's step from one week to the next, in logarithms."""
_MONTH_DEVIATION = 0.25
"""How far the months of a shop are thought to be from the calendar, as a standard deviation of logarithms."""
_NOISE = 0.10
"""Standard deviation of a week beside what its number of buyers explains, in logarithms."""


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days from `start_on` on: how many had bought lately, and how many of them bought."""

    start_on: date
    customers: int
    buyers: int


@dataclass(frozen=True)
class Season:
    """How busy days are, relative to each other.

    :param weeks: the first days of the weeks that were observed, as days since 1970-01-01.
    :param levels: their levels, as logarithms.
    :param months: how much busier January to December are, as logarithms.
    """

    weeks: npt.NDArray[np.int64]
    levels: npt.NDArray[np.float64]
    months: npt.NDArray[np.float64]

    def exposure(self, from_day: int, *, days: int) -> float:
        """Mean hazard of a purchase over `days` days from a day since 1970-01-01 on, relative to other such means."""
        every = np.arange(from_day, from_day + days)
        level = np.interp(every, self.weeks + 3, self.levels) if len(self.weeks) else np.zeros(days)
        return float(np.exp(level + self.months[month_of(every)]).mean())


def fit_season(weeks: Sequence[Week], *, before_day: int, calendar: Sequence[float] = RETAIL_CALENDAR) -> Season:
    """The season as it can be known at the start of a day since 1970-01-01: later weeks are not looked at.

    :param calendar: how busy January to December are before the shop's own weeks are looked at.
    """
    first = np.array([(week.start_on - _EPOCH).days for week in weeks], dtype=np.int64)
    is_known = (first + 7 <= before_day) & (np.array([week.customers for week in weeks]) > 0)
    known = [week for week, is_so in zip(weeks, is_known, strict=True) if is_so]
    first = first[is_known]
    prior = np.log(np.asarray(calendar, dtype=np.float64))
    if not known:
        return Season(first, np.zeros(0), prior)
    customers, buyers = (np.array([getattr(each, name) for each in known], float) for name in ("customers", "buyers"))
    hazard = np.log(-np.log1p(-(buyers + 0.5) / (customers + 1.0)))
    levels, months = _estimate(hazard, 1 / (buyers + 0.5) + _NOISE**2, _shares_of_months(first), prior)
    return Season(first, levels, months)


def _estimate(
    hazard: npt.NDArray[np.float64],
    variance: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The most likely levels and months: one weighted least squares with a row for each thing that is thought."""
    count = len(hazard)
    steps = (np.eye(count)[1:] - np.eye(count)[:-1]) / _LEVEL_STEP
    seen = np.concatenate([np.eye(count), shares], axis=1) / np.sqrt(variance)[:, None]
    wander = np.concatenate([steps, np.zeros((count - 1, 12))], axis=1)
    months = np.concatenate([np.zeros((12, count)), np.eye(12)], axis=1) / _MONTH_DEVIATION
    left = np.concatenate([seen, wander, months])
    right = np.concatenate([hazard / np.sqrt(variance), np.zeros(count - 1), prior / _MONTH_DEVIATION])
    found = np.linalg.lstsq(left, right, rcond=None)[0]
    return found[:count], found[count:]


def _shares_of_months(first: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How much of each week lies in each month."""
    shares = np.zeros((len(first), 12))
    for day in range(7):
        shares[np.arange(len(first)), month_of(first + day)] += 1 / 7
    return shares


def month_of(days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The month of days since 1970-01-01; January is 0."""
    return days.astype("M8[D]").astype("M8[M]").astype(np.int64) % 12


def day_number(on: date) -> int:
    """Days since 1970-01-01."""
    return (on - _EPOCH).days


def days_of_the_year(from_day: int) -> list[int]:
    """For each day of the year, 1 to 366, the first such day at or after a day since 1970-01-01."""
    start = _EPOCH + timedelta(days=from_day)
    found: dict[int, int] = {}
    for number in range(366):
        each = start + timedelta(days=number)
        found.setdefault(each.timetuple().tm_yday, from_day + number)
    return [found.get(number, found.get(365, from_day)) for number in range(1, 367)]
