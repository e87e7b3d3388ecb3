"""Which features of which views are wanted, and how they come out of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from psycopg import Connection, sql

from include.features.registry import REGISTRY, Registry
from include.features.versions import ViewVersion, current_version
from include.features.view import Feature, FeatureType, FeatureView

ARROW_TYPES: dict[FeatureType, pa.DataType] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "money": pa.float64(),
    "text": pa.string(),
}

PRESENT, NOT_FOUND, OUTSIDE_TTL = "present", "not found", "outside ttl"
"""The status of a view for a spine row. A row with null features that was found is present."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Some features of one view."""

    version: ViewVersion
    features: tuple[Feature, ...]

    @property
    def view(self) -> FeatureView:
        """The view, as the version defines it."""
        return self.version.view

    @property
    def status_column(self) -> str:
        """The column that says why the view's features are null, or that they were found."""
        return f"{self.view.name}_status"

    @property
    def columns(self) -> tuple[str, ...]:
        """What this view adds to a spine, in order."""
        return (*(feature.name for feature in self.features), self.status_column)


def selections_of(
    conn: Connection, wanted: Sequence[FeatureView | str], *, registry: Registry = REGISTRY
) -> list[Selection]:
    """Views, names of views, or `view:feature`, as one selection per view in the order first named.

    :raises UnknownFeature: a view or a feature of that name is not registered.
    :raises UnknownVersion: a view as it is defined now was never built.
    """
    versions: dict[str, ViewVersion] = {}
    chosen: dict[str, list[str]] = {}
    for item in wanted:
        view, names = registry.features_of(item) if isinstance(item, str) else (item, item.feature_names)
        if view.name not in versions:
            versions[view.name] = current_version(conn, view)
        chosen.setdefault(view.name, []).extend(name for name in names if name not in chosen.get(view.name, []))
    return [
        Selection(version, tuple(each for name in chosen[key] for each in version.view.features if each.name == name))
        for key, version in versions.items()
    ]


def feature_expressions(selection: Selection, *, table: str) -> sql.Composed:
    """The features as columns of `table`, in the types that readers get: one expression for history and online."""
    return sql.SQL(", ").join(
        sql.SQL("{}::double precision").format(sql.Identifier(table, feature.name))
        if feature.type == "money"
        else sql.Identifier(table, feature.name)
        for feature in selection.features
    )


def status_expression(*, table: str, at: sql.Composable) -> sql.Composed:
    """The status of the picked row at the instant `at`; the bound `ttl` may be null."""
    return sql.SQL(
        "CASE WHEN {table}.event_time IS NULL OR {table}.is_tombstone THEN 'not found' "
        "WHEN {at} - {table}.event_time > %(ttl)s::interval THEN 'outside ttl' ELSE 'present' END"
    ).format(table=sql.Identifier(table), at=at)
