"""Training sets that stay what they are: rows with a digest, and all that is needed to join them again to the byte."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from psycopg import Connection

from include.entities.window import refuse_naive
from include.features.definitions.on_demand import ON_DEMAND_FEATURES
from include.features.definitions.selection import Wanted, wanted_items
from include.features.history.historical import EntityRows, HistoryEngine, get_historical_features
from include.features.history.postgres_join import Mode
from include.features.history.writers import wait_for_writers
from include.features.registry import REGISTRY, Registry

ROWS, ENTITY_ROWS, RECIPE = "rows.parquet", "entity_rows.parquet", "recipe.json"


class TrainingSetLost(RuntimeError):
    """The file of a training set is gone or is not what was written."""


class HistoryChanged(RuntimeError):
    """A training set cannot be joined again: history no longer holds what it was made of."""


@dataclass(frozen=True, slots=True)
class FrozenTrainingSet:
    """A folder with the joined rows, the entity rows they were joined to, and how.

    :param digest: SHA-256 over every value of every row and over the recipe.
    """

    folder: Path
    digest: str

    def rows(self) -> pa.Table:
        """The joined rows, checked.

        :raises TrainingSetLost: they are gone or are not what was written.
        """
        return read_rows(self.folder / ROWS, digest=self.digest, recipe=self.recipe())

    def recipe(self) -> dict[str, Any]:
        """Features with their versions, mode, known_at and columns.

        :raises TrainingSetLost: it is gone or damaged.
        """
        try:
            return json.loads((self.folder / RECIPE).read_text())
        except (OSError, ValueError) as error:
            raise TrainingSetLost(f"The recipe of a training set cannot be read from {self.folder}: {error}") from error


def freeze_training_set(
    conn: Connection,
    entity_df: EntityRows,
    features: Wanted,
    *,
    storage: Path,
    known_at: datetime,
    now: datetime,
    mode: Mode = "as_known",
    timestamp_column: str = "event_timestamp",
    label_start_column: str | None = None,
    registry: Registry = REGISTRY,
    dsn: str | None = None,
    mirror: HistoryEngine | None = None,
) -> FrozenTrainingSet:
    """Join features to entity rows and keep the result in a folder named by its digest; the same again is the same.

    Builds and pushes that are under way are waited for: their rows bear the time at which they began.

    :param storage: the folder under which it is kept.
    :param known_at: only versions written up to this instant are taken, so that later builds change nothing.
    :param now: what `known_at` may not be after, or more could still be written up to it.
    :raises NaiveTime: an instant has no time zone.
    :raises ValueError: `known_at` is after `now`.
    """
    refuse_naive(known_at=known_at, now=now)
    if known_at > now:
        raise ValueError(f"known_at ({known_at.isoformat()}) is after now ({now.isoformat()}): more could be written.")
    wait_for_writers(conn)
    result = get_historical_features(
        conn, entity_df, features, mode=mode, known_at=known_at, timestamp_column=timestamp_column,
        label_start_column=label_start_column, registry=registry, dsn=dsn, mirror=mirror,
    )  # fmt: skip
    rows = result.to_arrow()
    names = [name for item in wanted_items(features, registry=registry) if (name := str(item)) in ON_DEMAND_FEATURES]
    exact = [f"{each.version}:{feature.name}" for each in result.shown for feature in each.features]
    recipe = {
        "features": exact + names,
        "mode": mode,
        "known_at": known_at.isoformat(),
        "timestamp_column": timestamp_column,
        "label_start_column": label_start_column,
        "entity_columns": [name for name in rows.column_names if name not in result.added_names],
    }
    digest = digest_of(rows, recipe)
    frozen = FrozenTrainingSet(storage / digest[:16], digest)
    write_rows(rows.select(recipe["entity_columns"]), frozen.folder / ENTITY_ROWS)
    write_rows(rows, frozen.folder / ROWS)
    (frozen.folder / RECIPE).write_text(json.dumps(recipe, indent=1, ensure_ascii=False))
    return frozen


def rebuild_training_set(
    conn: Connection, frozen: FrozenTrainingSet, *, registry: Registry = REGISTRY, mirror: HistoryEngine | None = None
) -> FrozenTrainingSet:
    """Join a training set again by its recipe and put its rows back, where they were lost.

    :raises TrainingSetLost: its recipe or its entity rows are gone.
    :raises HistoryChanged: what comes out has another digest, because rows it was made of were taken out of history;
        nothing was written.
    """
    recipe = frozen.recipe()
    try:
        entity_rows = pyarrow.parquet.read_table(frozen.folder / ENTITY_ROWS)
    except (OSError, pa.ArrowInvalid) as error:
        raise TrainingSetLost(f"The entity rows cannot be read from {frozen.folder}: {error}") from error
    rows = get_historical_features(
        conn, entity_rows, recipe["features"], mode=recipe["mode"], known_at=datetime.fromisoformat(recipe["known_at"]),
        timestamp_column=recipe["timestamp_column"], label_start_column=recipe["label_start_column"],
        registry=registry, mirror=mirror,
    ).to_arrow()  # fmt: skip
    if digest_of(rows, recipe) != frozen.digest:
        raise HistoryChanged(
            f"The training set in {frozen.folder} does not come out again: history was thinned or changed since "
            f"{recipe['known_at']}. Keep {ROWS}, or freeze another."
        )
    write_rows(rows, frozen.folder / ROWS)
    return frozen


def digest_of(rows: pa.Table, recipe: Mapping[str, Any]) -> str:
    """SHA-256 over every value of every row and over how they were made."""
    text = io.BytesIO()
    pyarrow.csv.write_csv(rows, text)
    text.write(json.dumps(recipe, sort_keys=True).encode())
    return hashlib.sha256(text.getbuffer()).hexdigest()


def write_rows(rows: pa.Table, path: Path) -> None:
    """Write beside the place and move, so that nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    pyarrow.parquet.write_table(rows, unfinished)
    unfinished.replace(path)


def read_rows(path: Path, *, digest: str, recipe: Mapping[str, Any]) -> pa.Table:
    """Rows as they were written.

    :raises TrainingSetLost: the file is missing or holds something else.
    """
    try:
        rows = pyarrow.parquet.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise TrainingSetLost(f"The training set cannot be read from {path}: {error}") from error
    if digest_of(rows, recipe) != digest:
        raise TrainingSetLost(f"The training set at {path} is not what was written.")
    return rows
