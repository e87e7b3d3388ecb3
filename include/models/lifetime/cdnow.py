"""Customers' histories from a file of purchases in the layout of the CDNOW sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Purchases:
    """One row per customer; times in weeks, amounts in the file's currency.

    :param average_value: mean amount of a day with repeat purchases; 0 without one.
    """

    x: Floats
    t_x: Floats
    T: Floats
    average_value: Floats


def read_purchases(path: Path, *, until: str = "1997-09-30") -> Purchases:
    """Read lines of `master id, sample id, yyyymmdd, count, amount` and observe them up to the day `until`, included.

    Purchases of one day are one.

    :raises ValueError: a line is not of that layout.
    """
    end = pd.Timestamp(until)
    days = read_days(path)
    days = days[days["day"] <= end]
    first = days.groupby("customer")["day"].transform("min")
    again = days[days["day"] > first].groupby("customer")
    customers = days.groupby("customer")["day"].agg(["min", "max"])
    repeats = again.size().reindex(customers.index, fill_value=0)
    return Purchases(
        x=repeats.to_numpy(dtype=np.float64),
        t_x=_weeks(customers["max"] - customers["min"]),
        T=_weeks(end - customers["min"]),
        average_value=again["amount"].mean().reindex(customers.index, fill_value=0.0).to_numpy(dtype=np.float64),
    )


def read_days(path: Path) -> pd.DataFrame:
    """Per customer and day with a purchase (`customer`, `day`) what was spent (`amount`).

    :raises ValueError: a line is not of that layout.
    """
    lines = pd.read_csv(path, sep=r"\s+", header=None, dtype={0: str, 1: str, 2: str})
    if lines.shape[1] != 5:
        raise ValueError(f"{path} has {lines.shape[1]} columns; expected master id, sample id, yyyymmdd, count, amount")
    lines.columns = ["master_id", "customer", "day", "count", "amount"]
    lines["day"] = pd.to_datetime(lines["day"], format="%Y%m%d")
    return lines.groupby(["customer", "day"])["amount"].sum().reset_index()


def _weeks(lengths: pd.Series) -> Floats:
    return (lengths / pd.Timedelta(weeks=1)).to_numpy(dtype=np.float64)
