"""Train the churn model on one training set: backtest, choice, calibration, fit."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from psycopg import Connection, sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from include.features.definitions.versions import current_version
from include.models.churn.backtest import Backtest, OriginFigures, fit_chosen, run_backtest
from include.models.churn.candidates import LabelledRows
from include.models.churn.card import model_card
from include.models.churn.model import ChurnModel
from include.models.churn.season import Week, day_number
from include.models.churn.training_set import VIEWS, read_training_rows, read_weeks
from include.models.index import is_indexed
from include.models.registry.model_registry import DIGEST, ModelRegistry, ModelVersion

logger = logging.getLogger(__name__)

NAME = "churn"
_LIBRARIES = ("scikit-learn", "numpy", "scipy", "pyarrow", "joblib")


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
        training, _ = read_training_rows(conn, training_set_id=training_set_id, storage=storage)
        is_new = registry.find(NAME, model_id) is None or not is_indexed(conn, model_id)
        if is_new:
            recipe = _recipe(conn, training_set_id)
            versions = recipe["feature_versions"] or {view.name: current_version(conn, view).version for view in VIEWS}
            views = [f"{name}@{number}" for name, number in versions.items()]
            backtest, model = fit_model(
                LabelledRows(training),
                read_weeks(conn, training_set_id),
                test_at=recipe["test_at"],
                horizon_days=recipe["parameters"]["horizon_days"],
                seed=recipe["parameters"]["seed"],
                versions=versions,
            )
            kept = registry.register(
                NAME,
                model,
                model_id=model_id,
                parameters={**recipe["parameters"], **libraries, "candidate": backtest.chosen},
                metrics={"training_rows": len(training)}
                | {f"backtest.{name}.log_loss": loss for name, loss in backtest.log_loss.items()},
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
            _store_backtest(conn, model_id, backtest)
    logger.info(
        "train_churn model_id=%s training_set_id=%s training_rows=%d is_new=%s seconds=%.2f",
        model_id, training_set_id, len(training), is_new, time.monotonic() - started,
    )  # fmt: skip
    return TrainedModel(model_id=model_id, is_new=is_new, training_rows=len(training))


def model_id_of(training_set_id: str, libraries: dict[str, str]) -> str:
    """The training set's id holds the digest of data and parameters; the libraries' versions join it."""
    text = json.dumps([training_set_id, libraries], sort_keys=True)
    return f"{NAME}-model-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def fit_model(
    rows: LabelledRows,
    weeks: Sequence[Week],
    *,
    test_at: datetime,
    horizon_days: int,
    seed: int,
    versions: dict[str, int] | None = None,
) -> tuple[Backtest, ChurnModel]:
    """Choose a candidate by the backtest, fit it on all rows, and calibrate it for requests from the test snapshot on.

    :param rows: training rows, whose label windows all end at the test snapshot or before.
    :param weeks: of the shop, those before the test snapshot.
    """
    backtest = run_backtest(rows, weeks, horizon_days=horizon_days, seed=seed)
    test_day = day_number(test_at.astimezone(UTC).date())
    model = fit_chosen(
        rows, weeks, backtest, test_day=test_day, horizon_days=horizon_days, seed=seed, versions=versions
    )
    return backtest, model


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


def _store_backtest(conn: Connection, model_id: str, backtest: Backtest) -> None:
    columns = [field.name for field in fields(OriginFigures)]
    with conn.cursor() as cursor:
        cursor.executemany(
            sql.SQL("INSERT INTO ml.churn_backtests (model_id, {}) VALUES ({}) ON CONFLICT DO NOTHING").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.SQL(", ").join([sql.Placeholder()] * (1 + len(columns))),
            ),
            [(model_id, *astuple(figures)) for figures in backtest.figures],
        )
