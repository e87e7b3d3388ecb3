"""Train the churn model and its baselines on one training set."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from psycopg import Connection
from psycopg.types.json import Jsonb
from sklearn.pipeline import Pipeline

from include.models.churn.pipeline import BASELINES, baseline, churn_model, inputs
from include.models.churn.training_set import read_training_set
from include.models.registry import pack

logger = logging.getLogger(__name__)

NAME = "churn"
_LIBRARIES = ("scikit-learn", "numpy", "pandas", "joblib")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model that was trained, or was there already.

    :param model_id: from the training set and the libraries' versions; the same gives the same one.
    """

    model_id: str
    is_new: bool
    training_rows: int


def train(conn: Connection, *, training_set_id: str, storage: Path, now: datetime) -> TrainedModel:
    """Train on a training set and keep the artefact in `ml.models`; a model that is there already is left as it is.

    :raises TrainingSetLost: the training set's file is gone or changed.
    """
    started = time.monotonic()
    libraries = {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}
    model_id = model_id_of(training_set_id, libraries)
    with conn.transaction():
        training, _ = read_training_set(conn, training_set_id=training_set_id, storage=storage)
        known = conn.execute("SELECT 1 FROM ml.models WHERE model_id = %s", (model_id,)).fetchone()
        if known is None:
            seed = _seed(conn, training_set_id)
            _store(conn, model_id, training_set_id, fit_scorers(training, seed=seed), libraries=libraries, now=now)
    logger.info(
        "train_churn model_id=%s training_set_id=%s training_rows=%d is_new=%s seconds=%.2f",
        model_id, training_set_id, len(training), known is None, time.monotonic() - started,
    )  # fmt: skip
    return TrainedModel(model_id=model_id, is_new=known is None, training_rows=len(training))


def model_id_of(training_set_id: str, libraries: dict[str, str]) -> str:
    """The training set's id holds the digest of data and parameters; the libraries' versions join it."""
    text = json.dumps([training_set_id, libraries], sort_keys=True)
    return f"{NAME}-model-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def fit_scorers(training: pd.DataFrame, *, seed: int) -> dict[str, Pipeline]:
    """The model and the baselines, trained on the same rows."""
    scorers = {"model": churn_model(seed=seed)} | {name: baseline(name) for name in BASELINES}
    for scorer in scorers.values():
        scorer.fit(inputs(training), training["is_churned"].astype(bool))
    return scorers


def _seed(conn: Connection, training_set_id: str) -> int:
    row = conn.execute(
        "SELECT (parameters ->> 'seed')::integer FROM ml.training_sets WHERE training_set_id = %s", (training_set_id,)
    ).fetchone()
    assert row is not None
    return row[0]


def _store(
    conn: Connection,
    model_id: str,
    training_set_id: str,
    scorers: dict[str, Any],
    *,
    libraries: dict[str, str],
    now: datetime,
) -> None:
    artefact, digest = pack(scorers)
    conn.execute(
        """
        INSERT INTO ml.models (
            model_id, name, training_set_id, trained_at, window_start, window_end, parameters, data_digest,
            training_row_count, libraries, artefact, artefact_digest, status, status_reason, status_at
        )
        SELECT
            %(model_id)s, %(name)s, training_set_id, %(now)s, window_start, window_end, parameters, data_digest,
            training_row_count, %(libraries)s, %(artefact)s, %(digest)s, 'trained', 'not evaluated yet', %(now)s
        FROM ml.training_sets
        WHERE training_set_id = %(training_set_id)s
        ON CONFLICT (model_id) DO NOTHING
        """,
        {
            "model_id": model_id,
            "name": NAME,
            "training_set_id": training_set_id,
            "now": now,
            "libraries": Jsonb(libraries),
            "artefact": artefact,
            "digest": digest,
        },
    )
