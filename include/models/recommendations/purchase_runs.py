"""Runs: the purchases that recommendations are made of, pinned in a file so that every step sees the same."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pyarrow.compute as pc
from psycopg import Connection
from psycopg.types.json import Jsonb

from include.entities.window import Window
from include.features.history.training_sets import TrainingSetLost, digest_of, read_rows, write_rows
from include.models.recommendations.choices import Choices
from include.models.recommendations.parameters import RecommendationParameters
from include.models.recommendations.purchases import Purchases, read_purchases

logger = logging.getLogger(__name__)

FOLDER = Path("models") / "recommendations"


class RunMissing(RuntimeError):
    """There is no such run, or it has not come so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A set of purchases up to an instant.

    :param as_of: only purchases paid before it are in.
    :param choices: made on the validation windows; None before the evaluation.
    """

    model_id: str
    as_of: datetime
    parameters: RecommendationParameters
    purchases: Purchases
    choices: Choices | None = None
    method: str | None = None


def build_candidates(
    conn: Connection,
    *,
    window: Window,
    storage: Path,
    now: datetime,
    parameters: RecommendationParameters | None = None,
) -> str:
    """Pin the purchases of known customers up to the end of the window: the customers and products to choose from.

    :param storage: folder that this run's later steps can read too.
    :returns: the run's id, from the digest of purchases and parameters; the same again gives the same.
    """
    started = time.monotonic()
    parameters = parameters or RecommendationParameters()
    recipe = _recipe(parameters, as_of=window.end)
    with conn.transaction():
        rows = read_purchases(conn, since=window.end - timedelta(days=parameters.history_days), until=window.end)
        digest = digest_of(rows, recipe)
        model_id = f"recommendations-{digest[:16]}"
        path = FOLDER / f"{model_id}.parquet"
        write_rows(rows, storage / path)
        counts = [len(pc.unique(rows[name])) for name in ("customer_id", "product_id")]
        conn.execute(
            """
            INSERT INTO ml.recommendation_runs (
                model_id, as_of, parameters, data_digest, file_path, purchase_count, customer_count, product_count,
                status, built_at
            )
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'built', %s)
            ON CONFLICT (model_id) DO NOTHING
            """,
            (
                model_id, window.end, Jsonb(parameters.as_json()), digest, str(path), len(rows), *counts, now,
            ),
        )  # fmt: skip
    logger.info(
        "build_candidates window=%s model_id=%s purchases=%d customers=%d products=%d seconds=%.2f",
        window, model_id, len(rows), *counts, time.monotonic() - started,
    )  # fmt: skip
    return model_id


def read_run(conn: Connection, model_id: str, *, storage: Path) -> Run:
    """A run with its purchases, checked against the digest that was registered.

    :raises RunMissing: there is no such run.
    :raises TrainingSetLost: its file is missing or changed.
    """
    row = conn.execute(
        "SELECT as_of, parameters, data_digest, file_path, choices, method FROM ml.recommendation_runs "
        "WHERE model_id = %s",
        (model_id,),
    ).fetchone()
    if row is None:
        raise RunMissing(f"There is no run {model_id!r} in ml.recommendation_runs. Run build_candidates first.")
    as_of, kept, digest, path, choices, method = row
    parameters = RecommendationParameters(**kept)
    try:
        rows = read_rows(storage / path, digest=digest, recipe=_recipe(parameters, as_of=as_of))
    except TrainingSetLost as error:
        raise TrainingSetLost(f"{model_id}: {error} Run build_candidates for its window again.") from error
    return Run(
        model_id=model_id,
        as_of=as_of,
        parameters=parameters,
        purchases=Purchases.of(rows),
        choices=None if choices is None else Choices.from_json(choices),
        method=method,
    )


def _recipe(parameters: RecommendationParameters, *, as_of: datetime) -> dict[str, object]:
    return {"parameters": parameters.as_json(), "as_of": as_of.isoformat(), "implicit": version("implicit")}
