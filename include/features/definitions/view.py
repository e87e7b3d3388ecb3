"""What a feature view is: one SQL query, and what its readers and its keepers must know."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from include.features.definitions.entity import NAME, BadDefinition, Entity
from include.features.definitions.expectation import FeatureExpectation

FEATURE_SQL_FOLDER = Path(__file__).resolve().parents[2] / "sql" / "features"

FeatureType = Literal["integer", "number", "money", "text"]
POSTGRES_TYPES: dict[FeatureType, frozenset[str]] = {
    "integer": frozenset({"smallint", "integer", "bigint"}),
    "number": frozenset({"double precision"}),
    "money": frozenset({"numeric"}),
    "text": frozenset({"text"}),
}
"""Feature type to the types that a query may give it in."""
STORED_TYPES: dict[FeatureType, str] = {
    "integer": "bigint",
    "number": "double precision",
    "money": "numeric(18, 4)",
    "text": "text",
}
"""Feature type to the type that its column has in history and online."""
Cadence = Literal["daily", "weekly", "monthly"]


@dataclass(frozen=True, slots=True)
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

    The query reads two relations that every build makes: `snapshots (snapshot_at)`, the instants wanted, and
    `entities`, with the entity's join keys, those wanted. It gives the join keys, `snapshot_at` and the features, in
    any order of rows, of facts whose event time is before the snapshot. What it gives for one key and one snapshot
    must not depend on which others are wanted, unless `is_ranked`.

    :param query: SQL; by default the file `include/sql/features/<name>.sql`.
    :param reads: the relations of the warehouse that it reads; changes in them make its rows stale.
    :param is_ranked: its features compare each key with all others at the snapshot. A changed fact then makes the
        snapshot's rows of all keys stale, and a single key cannot be pushed.
    :param is_newest_first: asked for its rows by key, the query gives those of a key from the newest snapshot to the
        oldest, as history keeps them, so that a build need not sort each row. That is about speed, and no more: were
        it not so, the index of history would grow in a worse order.
    :param memory: how long a fact is felt: a fact at e changes no row later than e + memory. None is for ever.
    :param lag: how long after its snapshot a row counts as known when it was built on time. Zero says "at once": the
        snapshot's facts are all before it. A decision that is taken between midnight and the end of the nightly build
        needs a lag of that length, or it is trained on what it will not have.
    :param ttl: how old a row may be when it is read, bound inclusive; None is for ever.
    :param cadence: at which midnights (UTC) it is taken: each, Mondays', or those of the first of a month.
    :param expectations: what must hold of the newest rows, or they are not published.
    :raises BadDefinition: a name twice or not in lower snake case, a feature without unit or description, a negative
        lag, a ttl or memory that is not positive, nothing read, or no query.
    """

    name: str
    entity: Entity
    features: tuple[Feature, ...]
    reads: tuple[str, ...]
    description: str
    owner: str
    tags: tuple[str, ...] = ()
    is_ranked: bool = False
    is_newest_first: bool = False
    memory: timedelta | None = None
    lag: timedelta = timedelta(0)
    ttl: timedelta | None = None
    cadence: Cadence = "daily"
    expectations: tuple[FeatureExpectation, ...] = ()
    query: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        file = FEATURE_SQL_FOLDER / f"{self.name}.sql"
        if not self.query and file.is_file():
            object.__setattr__(self, "query", file.read_text().rstrip().rstrip(";"))
        problems = [*self._bad_names(), *self._bad_settings()]
        if not self.query:
            problems.append(f"it has no query: write {file}")
        if problems:
            raise BadDefinition(f"The feature view {self.name!r} cannot be used: {'; '.join(problems)}.")

    def _bad_names(self) -> list[str]:
        names = [self.name, *self.entity.key_names, *self.feature_names]
        taken = [*names[1:], *_COLUMNS_OF_THE_STORE]
        problems = [f"the name {name!r} is not lower snake case" for name in names if not NAME.fullmatch(name)]
        problems += [
            f"the name {name!r} stands there twice" for name in sorted(set(names[1:])) if taken.count(name) > 1
        ]
        return problems

    def _bad_settings(self) -> list[str]:
        problems = [
            f"the feature {feature.name!r} has no unit or no description"
            for feature in self.features
            if not feature.unit.strip() or not feature.description.strip()
        ]
        if self.lag < timedelta(0):
            problems.append(f"its lag {self.lag} is negative, so it would be known before its snapshot")
        for name, span in (("ttl", self.ttl), ("memory", self.memory)):
            if span is not None and span <= timedelta(0):
                problems.append(f"its {name} {span} is not positive; None is for ever")
        if not self.features or not self.reads:
            problems.append("it has no features or reads no relation")
        if not self.description.strip() or not self.owner.strip():
            problems.append("it has no description or no owner")
        unknown = {each.feature for each in self.expectations if each.feature} - set(self.feature_names)
        problems += [f"an expectation is about {name!r}, which is none of its features" for name in sorted(unknown)]
        return problems

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def definition(self) -> Mapping[str, Any]:
        """All that decides what a row holds and how it is picked. Words about it and layout of its SQL do not count."""
        return {
            "name": self.name,
            "entity": self.entity.name,
            "join_keys": {key.name: key.type for key in self.entity.join_keys},
            "population": _bare(self.entity.population),
            "features": {feature.name: feature.type for feature in self.features},
            "reads": sorted(self.reads),
            "is_ranked": self.is_ranked,
            "memory_seconds": _seconds(self.memory),
            "lag_seconds": _seconds(self.lag),
            "ttl_seconds": _seconds(self.ttl),
            "cadence": self.cadence,
            "query": _bare(self.query),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the definition; another digest is another version."""
        return hashlib.sha256(json.dumps(self.definition, sort_keys=True).encode()).hexdigest()

    def __str__(self) -> str:
        return self.name


_COLUMNS_OF_THE_STORE = ("snapshot_at", "event_time", "available_time", "ingested_at", "seq", "is_tombstone")
_COMMENT_LINE = re.compile(r"^\s*--.*$", flags=re.MULTILINE)


def _bare(query: str) -> str:
    """SQL without lines that are comments and without its layout."""
    return " ".join(_COMMENT_LINE.sub("", query).split())


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()
