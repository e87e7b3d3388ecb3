"""The weekly fit: histories of all customers at a snapshot into a row of `ml.lifetime_models`."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from psycopg import Connection
from psycopg.types.json import Jsonb

from include.features.views.customer_lifetime import CUSTOMER_LIFETIME
from include.models.batches import ROWS_PER_BATCH, snapshot_features
from include.models.lifetime.bg_nbd import BgNbd
from include.models.lifetime.bg_nbd_fit import BgNbdFit, fit_bg_nbd
from include.models.lifetime.gamma_gamma import GammaGamma, GammaGammaFit, fit_gamma_gamma
from include.models.lifetime.value import LifetimeModel
from include.warehouse.connection import one_instant

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]

HISTORY = ("repeat_purchase_days", "lifetime_recency_days", "lifetime_age_days", "average_repeat_day_amount")
"""The features that are x, t_x, T (in days) and m."""
WANTED = tuple(f"{CUSTOMER_LIFETIME}:{name}" for name in HISTORY)
HORIZON_DAYS = 365.0
ANNUAL_DISCOUNT_RATE = 0.1
_LIBRARIES = ("numpy", "scipy")


class NoLifetimeModel(LookupError):
    """No fit counts at that instant."""


@dataclass(frozen=True, slots=True)
class StoredFit:
    """A fit with its name, and the instant that its data are of."""

    lifetime_model_id: str
    snapshot_at: datetime
    model: LifetimeModel


def refit_lifetime(
    conn: Connection,
    *,
    snapshot_at: datetime,
    now: datetime,
    horizon_days: float = HORIZON_DAYS,
    annual_discount_rate: float = ANNUAL_DISCOUNT_RATE,
) -> StoredFit:
    """Fit BG/NBD and Gamma-Gamma to all customers as known at `snapshot_at`; a fit that is there already stays.

    :raises FitRefused: too few customers came back, or the data have no most likely parameters; nothing was written.
    """
    started = time.monotonic()
    with one_instant(conn):
        x, t_x, T, m = _histories(conn, snapshot_at)
        settings = {
            "snapshot_at": snapshot_at.isoformat(),
            "horizon_days": horizon_days,
            "annual_discount_rate": annual_discount_rate,
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
        digest = hashlib.sha256(b"".join(column.tobytes() for column in (x, t_x, T, m))).hexdigest()
        name = hashlib.sha256(json.dumps([settings, digest], sort_keys=True).encode()).hexdigest()
        model_id = f"lifetime-{name[:16]}"
        is_new = conn.execute("SELECT 1 FROM ml.lifetime_models WHERE lifetime_model_id = %s", (model_id,)).fetchone()
        if is_new is None:
            purchases, amounts = fit_bg_nbd(x, t_x, T), fit_gamma_gamma(x, m)
            _store(conn, model_id, settings, digest, purchases, amounts, snapshot_at=snapshot_at, now=now)
        fit = _read(conn, model_id=model_id)
    assert fit is not None
    logger.info(
        "refit_lifetime snapshot=%s lifetime_model_id=%s customers=%d is_new=%s seconds=%.2f",
        f"{snapshot_at:%Y-%m-%dT%H:%M:%SZ}", model_id, len(x), is_new is None, time.monotonic() - started,
    )  # fmt: skip
    return fit


def current_fit(conn: Connection, *, at: datetime | None = None) -> StoredFit:
    """The fit that counts at `at`: of the greatest snapshot up to it; without an instant the newest of all.

    :raises NoLifetimeModel: there is none.
    """
    fit = _read(conn, at=at)
    if fit is None:
        until = "" if at is None else f" of a snapshot up to {at:%Y-%m-%dT%H:%M:%SZ}"
        raise NoLifetimeModel(f"ml.lifetime_models has no fit{until}. Run the DAG lifetime_value for that time.")
    return fit


def read_history(rows: pa.Table) -> list[Floats]:
    """x, t_x, T and m of rows with the columns `HISTORY`; null is NaN."""
    return [rows[name].cast(pa.float64()).to_numpy() for name in HISTORY]


def _histories(conn: Connection, snapshot_at: datetime) -> list[Floats]:
    batches: Iterator[pa.Table] = snapshot_features(
        conn, WANTED, snapshot_at=snapshot_at, present=[CUSTOMER_LIFETIME.name], batch_rows=5 * ROWS_PER_BATCH
    )
    columns = [read_history(rows) for rows in batches]
    return [np.concatenate(parts) for parts in zip(*columns, strict=True)] if columns else [np.empty(0)] * 4


def _store(
    conn: Connection,
    model_id: str,
    settings: dict,
    digest: str,
    purchases: BgNbdFit,
    amounts: GammaGammaFit,
    *,
    snapshot_at: datetime,
    now: datetime,
) -> None:
    bg_nbd, gamma_gamma = purchases.model, amounts.model
    conn.execute(
        """
        INSERT INTO ml.lifetime_models (
            lifetime_model_id, snapshot_at, horizon_days, annual_discount_rate, bg_nbd_parameters, bg_nbd_covariance,
            bg_nbd_log_likelihood, gamma_gamma_parameters, gamma_gamma_covariance, gamma_gamma_log_likelihood,
            customer_count, returned_count, paying_count, correlation, parameters_at_bound, data_digest, libraries,
            fitted_at
        )
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, nullif(%s, 'NaN'::float8), %s, %s, %s, %s)
        ON CONFLICT (lifetime_model_id) DO NOTHING
        """,
        (
            model_id, snapshot_at, settings["horizon_days"], settings["annual_discount_rate"],
            [bg_nbd.r, bg_nbd.alpha, bg_nbd.a, bg_nbd.b], purchases.covariance.ravel().tolist(),
            purchases.log_likelihood, [gamma_gamma.p, gamma_gamma.q, gamma_gamma.v],
            amounts.covariance.ravel().tolist(), amounts.log_likelihood, int(purchases.customers),
            int(purchases.returned), int(amounts.customers), amounts.correlation,
            [*purchases.at_bound, *amounts.at_bound], digest, Jsonb(settings["libraries"]), now,
        ),
    )  # fmt: skip


def _read(conn: Connection, *, model_id: str | None = None, at: datetime | None = None) -> StoredFit | None:
    row = conn.execute(
        """
        SELECT
            lifetime_model_id, snapshot_at, bg_nbd_parameters, gamma_gamma_parameters, bg_nbd_covariance,
            gamma_gamma_covariance, horizon_days, annual_discount_rate
        FROM ml.lifetime_models
        WHERE
            lifetime_model_id = coalesce(%(model_id)s, lifetime_model_id)
            AND snapshot_at <= coalesce(%(at)s::timestamptz, 'infinity')
        ORDER BY snapshot_at DESC, fitted_at DESC, lifetime_model_id DESC
        LIMIT 1
        """,
        {"model_id": model_id, "at": at},
    ).fetchone()
    if row is None:
        return None
    name, snapshot_at, bg_nbd, gamma_gamma, of_purchases, of_amounts, horizon_days, rate = row
    return StoredFit(
        name,
        snapshot_at,
        LifetimeModel(
            BgNbd(*bg_nbd), GammaGamma(*gamma_gamma), np.reshape(of_purchases, (4, 4)), np.reshape(of_amounts, (3, 3)),
            horizon_days, rate,
        ),
    )  # fmt: skip
