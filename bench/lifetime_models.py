"""Whether Pareto/NBD would foretell purchases better than BG/NBD: both fitted to the first half of what was seen of
the same customers, and held against the second half.

By default to customers who live and buy after the story of Pareto/NBD itself, with the parameters published for CDNOW,
and to the simulator's shop. LIFETIME_CDNOW=path adds a file in the layout of CDNOW, LIFETIME_ONLINE_RETAIL=path one in
the layout of Online Retail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from psycopg import Connection

from bench.churn_shops import load_online_retail, load_simulated
from bench.pareto_nbd import fit_pareto_nbd
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.models.lifetime.bg_nbd_fit import fit_bg_nbd
from include.models.lifetime.cdnow import read_days
from include.warehouse.connection import connect_warehouse

CDNOW = os.environ.get("LIFETIME_CDNOW")
ONLINE_RETAIL = os.environ.get("LIFETIME_ONLINE_RETAIL")
CUSTOMERS, DAYS, SEED = 20_000, 546, 5
NOW = datetime(2030, 1, 1, tzinfo=UTC)
Floats = npt.NDArray[np.float64]


def run() -> list[Result]:
    """Per shop, the root mean squared error of BG/NBD's expected purchases over that of Pareto/NBD's."""
    return [_beside(name, days) for name, days in _shops()]


def _shops() -> Iterator[tuple[str, pd.DataFrame]]:
    yield "pareto_story", simulated_days(customers=CUSTOMERS, days=DAYS, seed=SEED)
    with fresh_warehouse() as dsn, connect_warehouse(dsn) as conn:
        load_simulated(conn, customers=1500, seed=1, now=NOW)
        yield "simulator", _days_of(conn)
    if CDNOW:
        yield "cdnow", read_days(Path(CDNOW))
    if ONLINE_RETAIL:
        with fresh_warehouse() as dsn, connect_warehouse(dsn) as conn:
            load_online_retail(conn, Path(ONLINE_RETAIL), now=NOW)
            yield "online_retail", _days_of(conn)


def _days_of(conn: Connection) -> pd.DataFrame:
    rows = conn.execute(
        "SELECT DISTINCT customer_id, (paid_at AT TIME ZONE 'UTC')::date FROM shop.orders"
        " WHERE customer_id IS NOT NULL AND paid_at IS NOT NULL"
    ).fetchall()
    frame = pd.DataFrame(rows, columns=["customer", "day"])
    return frame.assign(day=pd.to_datetime(frame["day"]))


def simulated_days(*, customers: int, days: int, seed: int) -> pd.DataFrame:
    """Days with a purchase of customers who come in the first twelve weeks; times of [FH] are weeks."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.553, 1 / 10.578, customers) / 7
    life = rng.exponential(1, customers) / np.maximum(rng.gamma(0.606, 1 / 11.669, customers) / 7, 1e-12)
    at = rng.uniform(0, 84, customers)
    end = np.minimum(at + life, days)
    alive, found = np.arange(customers), []
    while len(alive):
        found.append(pd.DataFrame({"customer": alive, "day": np.floor(at[alive])}))
        at[alive] += rng.exponential(1, len(alive)) / np.maximum(rate[alive], 1e-12)
        alive = alive[at[alive] < end[alive]]
    frame = pd.concat(found).drop_duplicates()
    return frame.assign(day=pd.Timestamp("2000-01-01") + pd.to_timedelta(frame["day"], unit="D"))


def _beside(name: str, days: pd.DataFrame) -> Result:
    first, last = days["day"].min(), days["day"].max()
    middle = (first + (last - first) / 2).normalize()
    x, t_x, T, later = halves(days, middle=middle)
    horizon = (last - middle).days
    bg_nbd = fit_bg_nbd(x, t_x, T)
    pareto, pareto_likelihood = fit_pareto_nbd(x, t_x, T)
    ours = bg_nbd.model.expected_purchases(horizon, x, t_x, T)
    theirs = pareto.expected_purchases(horizon, x, t_x, T)
    our_error, their_error = (float(np.sqrt(np.mean((expected - later) ** 2))) for expected in (ours, theirs))
    return Result(
        name=f"models.bg_nbd_error_{name}",
        value=our_error / their_error,
        unit="×",
        against=f"Pareto/NBD's error over {horizon} days, {len(x):,} customers",
        goal="≤ 1.02",
        detail=f"root mean squared error {our_error:.3f} beside {their_error:.3f} purchase days; in all "
        f"{ours.sum():,.0f} and {theirs.sum():,.0f} foretold, {later.sum():,.0f} came; "
        f"log-likelihood {bg_nbd.log_likelihood:,.1f} beside {pareto_likelihood:,.1f}",
    )


def halves(days: pd.DataFrame, *, middle: pd.Timestamp) -> tuple[Floats, Floats, Floats, Floats]:
    """(x, t_x, T) in days of those who had bought up to the day `middle`, and on how many days they bought after it."""
    seen = days[days["day"] <= middle].groupby("customer")["day"].agg(["min", "max", "size"])
    later = days[days["day"] > middle].groupby("customer").size().reindex(seen.index, fill_value=0)
    lengths = (seen["size"] - 1, (seen["max"] - seen["min"]).dt.days, (middle - seen["min"]).dt.days, later)
    x, t_x, T, after = (column.to_numpy(dtype=np.float64) for column in lengths)
    return x, t_x, T, after
