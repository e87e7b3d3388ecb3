"""How inputs and scores lay in training: counted once per model from its training set, and kept beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from psycopg import Connection

from include.models.churn.model import SEASON_INPUT, ChurnModel
from include.models.churn.training_set import read_training_rows
from include.models.scores.champion import Champion
from include.models.scores.distribution import Binning, Counts

SCORE = "churn_probability"


class NoReference(LookupError):
    """There is nothing to compare a model's scores with; the text says why."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The bins of one subject and how many training rows lay in each."""

    binning: Binning
    counts: Counts


def references_of(conn: Connection, champion: Champion, *, storage: Path) -> dict[str, Reference]:
    """By subject: each input but the season, and `churn_probability`. Counted and kept at the first call.

    :raises NoReference: the warehouse does not know which rows the model was trained on.
    :raises TrainingSetLost: those rows are gone or changed, and were not counted before.
    """
    known = _read(conn, champion.kept.model_id)
    if known:
        return known
    row = conn.execute(
        "SELECT training_set_id FROM ml.models WHERE model_id = %s", (champion.kept.model_id,)
    ).fetchone()
    if row is None:
        raise NoReference(f"ml.models does not know {champion.kept.model_id}, the champion, and its training set.")
    training, _ = read_training_rows(conn, training_set_id=row[0], storage=storage)
    counted = count_references(champion.model, training)
    _store(conn, champion.kept.model_id, row[0], counted)
    return counted


def count_references(model: ChurnModel, training: pa.Table) -> dict[str, Reference]:
    """References from rows with the model's inputs."""
    columns = {name: training[name] for name in model.inputs if name != SEASON_INPUT}
    columns[SCORE] = pa.chunked_array([pa.array(model.probabilities(training))])
    found = {}
    for subject, column in columns.items():
        binning = Binning.of(column)
        found[subject] = Reference(binning, binning.count(column))
    return found


def _read(conn: Connection, model_id: str) -> dict[str, Reference]:
    rows = conn.execute(
        "SELECT subject, edges, categories, counts FROM ml.reference_distributions WHERE model_id = %s", (model_id,)
    ).fetchall()
    return {
        subject: Reference(
            Binning(None if edges is None else tuple(edges), None if categories is None else tuple(categories)),
            np.array(counts, dtype=np.int64),
        )
        for subject, edges, categories, counts in rows
    }


def _store(conn: Connection, model_id: str, training_set_id: str, found: dict[str, Reference]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO ml.reference_distributions (model_id, training_set_id, subject, edges, categories, counts)
            VALUES (%s, %s, %s, %s::double precision[], %s::text[], %s)
            ON CONFLICT (model_id, subject) DO NOTHING
            """,
            [
                (
                    model_id, training_set_id, subject,
                    None if each.binning.edges is None else list(each.binning.edges),
                    None if each.binning.categories is None else list(each.binning.categories),
                    each.counts.tolist(),
                )
                for subject, each in found.items()
            ],
        )  # fmt: skip
