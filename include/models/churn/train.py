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
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sklearn.pipeline import Pipeline

from include.features.definitions.versions import current_version
from include.models.churn.card import model_card
from include.models.churn.pipeline import BASELINES, baseline, churn_model, inputs
from include.models.churn.training_set import VIEWS, read_training_set
from include.models.index import is_indexed
from include.models.registry.model_registry import DIGEST, ModelRegistry, ModelVersion

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


def train(
    conn: Connection, registry: ModelRegistry, *, training_set_id: str, storage: Path, now: datetime
) -> TrainedModel:
    """Train on a training set and register the model; a model that is there already is left as it is.

    :raises TrainingSetLost: the training set's file is gone or changed.
    :raises RegistryUnreachable: MLflow does not answer.
    """
    started = time.monotonic()
    libraries = {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}
    model_id = model_id_of(training_set_id, libraries)
    with conn.transaction():
        training, _ = read_training_set(conn, training_set_id=training_set_id, storage=storage)
        is_new = registry.find(NAME, model_id) is None or not is_indexed(conn, model_id)
        if is_new:
            recipe = _recipe(conn, training_set_id)
            views = [str(current_version(conn, view)) for view in VIEWS]
            kept = registry.register(
                NAME,
                fit_scorers(training, seed=recipe["parameters"]["seed"]),
                model_id=model_id,
                parameters={**recipe["parameters"], **libraries},
                metrics={"training_rows": len(training)},
                tags={
                    "training_set_id": training_set_id,
                    "data_digest": recipe["data_digest"],
                    "test_at": recipe["test_at"].isoformat(),
                    "feature_views": " ".join(views),
                },
                card=model_card(
                    model_id=model_id, parameters=recipe["parameters"], training_set=recipe, feature_views=views,
                    libraries=libraries,
                ),
            )  # fmt: skip
            _store(conn, kept, training_set_id, libraries=libraries, now=now)
    logger.info(
        "train_churn model_id=%s training_set_id=%s training_rows=%d is_new=%s seconds=%.2f",
        model_id, training_set_id, len(training), is_new, time.monotonic() - started,
    )  # fmt: skip
    return TrainedModel(model_id=model_id, is_new=is_new, training_rows=len(training))


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


def _recipe(conn: Connection, training_set_id: str) -> dict[str, Any]:
    """What is known of a training set."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM ml.training_sets WHERE training_set_id = %s", (training_set_id,)).fetchone()
    assert row is not None
    return row


def _store(
    conn: Connection, kept: ModelVersion, training_set_id: str, *, libraries: dict[str, str], now: datetime
) -> None:
    """Enter the model into the warehouse's index."""
    conn.execute(
        """
        INSERT INTO ml.models (
            model_id, name, training_set_id, trained_at, window_start, window_end, parameters, data_digest,
            training_row_count, libraries, registry_version, artefact_digest, status, status_reason, status_at
        )
        SELECT
            %(model_id)s, %(name)s, training_set_id, %(now)s, window_start, window_end, parameters, data_digest,
            training_row_count, %(libraries)s, %(version)s, %(digest)s, 'trained', 'not evaluated yet', %(now)s
        FROM ml.training_sets
        WHERE training_set_id = %(training_set_id)s
        ON CONFLICT (model_id) DO UPDATE
        SET registry_version = excluded.registry_version, artefact_digest = excluded.artefact_digest
        """,
        {
            "model_id": kept.model_id,
            "name": kept.name,
            "training_set_id": training_set_id,
            "now": now,
            "libraries": Jsonb(libraries),
            "version": kept.version,
            "digest": kept.tags[DIGEST],
        },
    )
