"""What a feature view is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

FEATURE_SQL_FOLDER = Path(__file__).resolve().parents[1] / "sql" / "features"

FeatureType = Literal["integer", "number", "money", "text"]
POSTGRES_TYPES: dict[FeatureType, frozenset[str]] = {
    "integer": frozenset({"smallint", "integer", "bigint"}),
    "number": frozenset({"double precision"}),
    "money": frozenset({"numeric"}),
    "text": frozenset({"text"}),
}
"""Feature type to the column types that may hold it."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class BadFeatureView(ValueError):
    """A feature view's definition contradicts itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column of a feature view.

    :param type: `money` is numeric in the warehouse; readers get it, like `number`, as a 64-bit float.
    :param unit: what one of it is: `days`, `orders`, `currency of the shop`, `score 1 to 5`.
    """

    name: str
    type: FeatureType
    unit: str
    description: str


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """A named SQL query giving features for one entity at given snapshots.

    The query is the file `include/sql/features/<name>.sql`. It reads the relation `snapshots (snapshot_at)` and gives
    `key`, `snapshot_at` and the features, in any order of rows.

    :param key: the column with the entity key, a bigint.
    :param lag: how long after its snapshot a row counts as known when it was built on time. Zero says "at once": the
        snapshot's facts are all before it. A decision that is taken between midnight and the end of the nightly build
        needs a lag of that length, or it is trained on what it will not have.
    :param ttl: how old a row may be when it is read, bound inclusive; None is for ever.
    :param reads: the entities whose changes make its rows stale.
    :raises BadFeatureView: a name twice or not in lower snake case, a negative lag, a ttl that is not positive,
        nothing read, or no SQL file.
    """

    name: str
    key: str
    features: tuple[Feature, ...]
    reads: tuple[str, ...]
    lag: timedelta = timedelta(0)
    ttl: timedelta | None = None

    def __post_init__(self) -> None:
        names = [self.name, self.key, *self.feature_names]
        problems = [f"the name {name!r} is not lower snake case" for name in names if not _NAME.fullmatch(name)]
        problems += [f"the name {name!r} stands there twice" for name in sorted(set(names)) if names.count(name) > 1]
        if self.lag < timedelta(0):
            problems.append(f"its lag {self.lag} is negative, so it would be known before its snapshot")
        if self.ttl is not None and self.ttl <= timedelta(0):
            problems.append(f"its ttl {self.ttl} is not positive; None is for ever")
        if not self.features or not self.reads:
            problems.append("it has no features or reads no entity")
        if not self.sql_file.is_file():
            problems.append(f"its query {self.sql_file} does not exist")
        if problems:
            raise BadFeatureView(f"The feature view {self.name!r} cannot be used: {'; '.join(problems)}.")

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def sql_file(self) -> Path:
        return FEATURE_SQL_FOLDER / f"{self.name}.sql"

    @cached_property
    def query(self) -> str:
        return self.sql_file.read_text().rstrip().rstrip(";")

    def __str__(self) -> str:
        return self.name
