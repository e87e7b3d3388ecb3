"""Who buys when: the BG/NBD story of Fader, Hardie and Lee (2005), with seasons.

A customer joins with a first order. From then on orders come as a Poisson process with the customer's
own rate, Gamma distributed over customers, and after each further order the customer drops out for good
with the customer's own probability, Beta distributed. Seasons bend time: rates are per day of
*operational time*, which runs fast in December and slow on a summer night, and as fast as the calendar
over the whole range. In operational time the process is BG/NBD exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from include.local.sandbox.instants import DAY

_HOUR = 3_600
_BY_HOUR = np.array([2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 10, 11, 10, 9, 9, 10, 11, 13, 15, 16, 14, 9, 5], dtype=float)
_BY_WEEKDAY = np.array([1.05, 1.0, 1.0, 1.0, 0.9, 0.95, 1.25])
_BY_MONTH = np.array([0.85, 0.85, 0.95, 0.95, 1.0, 0.9, 0.8, 0.85, 1.0, 1.1, 1.35, 1.4])


@dataclass(frozen=True)
class PurchaseModel:
    """Parameters of BG/NBD. Rates are per day: Gamma(shape `r`, rate `alpha_days`); drop-out is Beta(`a`, `b`)."""

    r: float = 1.2
    alpha_days: float = 45.0
    a: float = 0.8
    b: float = 5.0


@dataclass(frozen=True)
class CustomerTruth:
    """What nobody in a real shop knows about a customer.

    :param joined_at: instant of the first order, seconds since 1970 in UTC.
    :param rate_per_day: orders per day of operational time while active.
    :param dropped_out_at: instant of the last order ever, or None if still active at the end of the range.
    :param purchases: instants of all orders paid inside the range, the first one included.
    """

    customer_id: int
    joined_at: int
    rate_per_day: float
    dropout_probability: float
    dropped_out_at: int | None
    purchases: tuple[int, ...]


class Season:
    """Operational time over a range of whole days: how busy the shop is, hour by hour, with mean one."""

    def __init__(self, *, start: int, end: int) -> None:
        self.start, self.end = start, end
        hours = np.arange(start, end, _HOUR)
        moments = [datetime.fromtimestamp(int(hour), UTC) for hour in hours]
        weight = (
            _BY_HOUR[[moment.hour for moment in moments]]
            * _BY_WEEKDAY[[moment.weekday() for moment in moments]]
            * _BY_MONTH[[moment.month - 1 for moment in moments]]
        )
        self._edges = np.arange(start, end + _HOUR, _HOUR, dtype=float)
        self._days_run = np.concatenate([[0.0], np.cumsum(weight / weight.mean()) * _HOUR / DAY])

    def operational_days(self, instants: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Operational days run from the start of the range to each instant."""
        return np.asarray(np.interp(instants, self._edges, self._days_run))

    def instants(self, operational_days: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """The inverse: the instant at which so many operational days have run."""
        return np.asarray(np.interp(operational_days, self._days_run, self._edges))


def simulate_population(
    *, customers: int, first_customer_id: int, model: PurchaseModel, season: Season, random: np.random.Generator
) -> list[CustomerTruth]:
    """Draw every customer's truth and all of their orders; sorted by joining, ids counted up in that order."""
    total = float(season.operational_days(float(season.end)))
    founders = random.random(customers) < 0.25
    joined = np.where(founders, random.uniform(0.2, 60, customers), random.uniform(0.2, total - 14, customers))
    joined.sort()
    rates = random.gamma(model.r, 1 / model.alpha_days, customers)
    dropouts = random.beta(model.a, model.b, customers)
    people = []
    for number in range(customers):
        times, dropped_out = _orders(
            joined=float(joined[number]),
            rate=float(rates[number]),
            dropout=float(dropouts[number]),
            total=total,
            random=random,
        )
        instants = [int(instant) for instant in season.instants(np.array(times))]
        people.append(
            CustomerTruth(
                customer_id=first_customer_id + number,
                joined_at=instants[0],
                rate_per_day=float(rates[number]),
                dropout_probability=float(dropouts[number]),
                dropped_out_at=instants[-1] if dropped_out else None,
                purchases=tuple(instants),
            )
        )
    return people


def _orders(
    *, joined: float, rate: float, dropout: float, total: float, random: np.random.Generator
) -> tuple[list[float], bool]:
    """Operational times of one customer's orders, and whether the customer dropped out after the last."""
    times = [joined]
    while True:
        following = times[-1] + random.exponential(1 / rate) if rate > 0 else total
        if following >= total:
            return times, False
        times.append(following)
        if random.random() < dropout:
            return times, True
