"""Which features of which views are wanted, and how they come out of the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
from psycopg import Connection, sql

from include.features.definitions.service import FeatureService
from include.features.definitions.versions import ViewVersion, current_version, stored_version
from include.features.definitions.view import Feature, FeatureType, FeatureView
from include.features.registry import Registry, UnknownFeature

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


class VersionSource(Protocol):
    """Where versions of views are looked up: the database, or the files of a mirror."""

    def current(self, view: FeatureView) -> ViewVersion:
        """:raises UnknownVersion: the view as it is defined now is not there."""
        ...

    def stored(self, name: str, version: int) -> ViewVersion:
        """:raises UnknownVersion: that version is not there."""
        ...


@dataclass(frozen=True, slots=True)
class VersionsInDatabase:
    """The versions that were applied to a warehouse."""

    conn: Connection

    def current(self, view: FeatureView) -> ViewVersion:
        return current_version(self.conn, view)

    def stored(self, name: str, version: int) -> ViewVersion:
        return stored_version(self.conn, name, version)


class TwoVersions(ValueError):
    """Two versions of one view are wanted at once, and their features have the same names."""


Wanted = FeatureService | str | Sequence[FeatureView | ViewVersion | str]
"""A feature service or its name; or views, versions of them, and `view`, `view:feature` or `view@2:feature`."""


def wanted_items(wanted: Wanted, *, registry: Registry) -> Sequence[FeatureView | ViewVersion | str]:
    """What a feature service stands for, or what was listed.

    :raises UnknownFeature: there is no service of that name.
    """
    if isinstance(wanted, str):
        wanted = registry.service(wanted)
    return wanted.features if isinstance(wanted, FeatureService) else wanted


def selections_of(
    source: Connection | VersionSource, wanted: Wanted, *, registry: Registry, inputs: Sequence[str] = ()
) -> list[Selection]:
    """What is wanted as one selection per view, in the order first named.

    :param inputs: `view:feature` that on-demand features are computed from, read besides: of the version that is wanted
        of their view, else of the view as it is defined now.
    :raises UnknownFeature: a view, a feature or a service of that name is not registered.
    :raises UnknownVersion: a view as it is defined now was never built, or not in that version.
    :raises TwoVersions: one view is wanted in two versions.
    """
    versions = VersionsInDatabase(source) if isinstance(source, Connection) else source
    found: dict[str, ViewVersion] = {}
    chosen: dict[str, dict[str, None]] = {}
    for item in wanted_items(wanted, registry=registry):
        version, names = _resolved(versions, item, found, registry=registry)
        name = version.view.name
        if found.setdefault(name, version) != version:
            raise TwoVersions(f"{found[name]} and {version} are wanted at once. Ask for one after the other.")
        chosen.setdefault(name, {}).update(dict.fromkeys(names))
    for item in inputs:
        view, names = registry.features_of(item)
        if view.name not in found:
            found[view.name] = versions.current(view)
        chosen.setdefault(view.name, {}).update(dict.fromkeys(names))
    return [
        Selection(version, tuple(each for wish in chosen[name] for each in version.view.features if each.name == wish))
        for name, version in found.items()
    ]


def _resolved(
    versions: VersionSource,
    item: FeatureView | ViewVersion | str,
    found: dict[str, ViewVersion],
    *,
    registry: Registry,
) -> tuple[ViewVersion, tuple[str, ...]]:
    """The version that an item means, and the names of the features that it wants of it."""
    if isinstance(item, ViewVersion):
        return item, item.view.feature_names
    if isinstance(item, FeatureView):
        return _current(versions, item, found), item.feature_names
    name, _, feature = item.partition(":")
    view_name, is_stored, number = name.partition("@")
    if not is_stored:
        view, names = registry.features_of(item)
        return _current(versions, view, found), names
    if not number.isdecimal():
        raise UnknownFeature(f"{item!r} names no version of a feature view. Write, for example, {view_name}@1.")
    version = versions.stored(view_name, int(number))
    if feature and feature not in version.view.feature_names:
        raise UnknownFeature(f"{version} has no feature {feature!r}. It has: {', '.join(version.view.feature_names)}.")
    return version, (feature,) if feature else version.view.feature_names


def _current(versions: VersionSource, view: FeatureView, found: dict[str, ViewVersion]) -> ViewVersion:
    known = found.get(view.name)
    return known if known is not None and known.view == view else versions.current(view)


def feature_expression(feature: Feature, *, table: str) -> sql.Composable:
    """A feature as a column of `table`, in the type that readers get: one expression for history and online."""
    column = sql.Identifier(table, feature.name)
    return sql.SQL("{}::double precision").format(column) if feature.type == "money" else column


def feature_expressions(selection: Selection, *, table: str) -> sql.Composed:
    """The features of a view by `feature_expression`, separated by commas."""
    return sql.SQL(", ").join(feature_expression(feature, table=table) for feature in selection.features)
