"""The definitions as a Feast repository that reads the same tables; docs/feast.md says where Feast differs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from psycopg import Connection, sql

from include.features.definitions.entity import Entity
from include.features.definitions.service import FeatureService
from include.features.definitions.versions import UnknownVersion, ViewVersion, current_version
from include.features.definitions.view import FeatureType
from include.features.registry import REGISTRY, Registry, UnknownFeature

_FEAST_TYPES: dict[FeatureType, str] = {"integer": "Int64", "number": "Float64", "money": "Float64", "text": "String"}
_KEY_TYPES = {"integer": "INT64", "text": "STRING"}


@dataclass(frozen=True, slots=True)
class FeastExport:
    """What was written.

    :param views: names of the views that the repository has.
    :param left_out: names of views and services that it has not, each with the reason.
    """

    views: tuple[str, ...]
    left_out: dict[str, str]


def export_feast(conn: Connection, folder: Path, registry: Registry = REGISTRY) -> FeastExport:
    """Write `feature_store.yaml` and `features.py` for `feast apply` into `folder`; files of these names are replaced.

    Each view becomes a Feast view over a query on the table of its current version. Tombstones stay in it as rows
    without values, so that they hide older rows as they do here. Its `created_timestamp_column` is `available_time`:
    with `get_historical_features(..., filter_by_created_timestamp=True)` Feast then takes what was known at the
    instant (`as_known`), without it what is known now (`as_corrected`).

    Feast asks for the password in the environment variable PGPASSWORD; it is not written. Its online tables go into
    the schema `feast` of the same database.

    Left out are views that were never built, and those with a key of several columns, which Feast would mix up.
    """
    versions: list[ViewVersion] = []
    left_out: dict[str, str] = {}
    for view in registry.views.values():
        try:
            if len(view.entity.join_keys) > 1:
                left_out[view.name] = "Feast takes keys of several columns for one text, so different ones are mixed up"
            else:
                versions.append(current_version(conn, view))
        except UnknownVersion:
            left_out[view.name] = "it was never built"
    names = [version.view.name for version in versions]
    services = []
    for service in registry.services.values():
        try:
            services.append(_service(service, registry, exported=names))
        except UnknownFeature as error:
            left_out[service.name] = str(error)
    entities = dict.fromkeys(version.view.entity for version in versions)
    parts = [_HEAD, *map(_entity, entities), *(_view(conn, version) for version in versions), *services]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "features.py").write_text("\n\n".join(parts) + "\n")
    (folder / "feature_store.yaml").write_text(_settings(conn))
    return FeastExport(tuple(names), left_out)


_HEAD = '''"""Feature views as Feast knows them; written by `python -m include.features feast-export`, do not edit."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int64, String'''


def _settings(conn: Connection) -> str:
    store = {
        "type": "postgres",
        "host": conn.info.host,
        "port": conn.info.port,
        "database": conn.info.dbname,
        "user": conn.info.user,
        "password": "${PGPASSWORD}",
        "sslmode": "prefer",
    }
    settings = {
        "project": "regulars",
        "provider": "local",
        "registry": "registry.db",
        "entity_key_serialization_version": 3,
        "offline_store": store | {"db_schema": "features"},
        "online_store": store | {"db_schema": "feast"},
    }
    return json.dumps(settings, indent=2) + "\n"  # JSON is YAML.


def _entity(entity: Entity) -> str:
    key = entity.join_keys[0]
    return (
        f"entity_{entity.name} = Entity(\n    name={entity.name!r},\n    join_keys=[{key.name!r}],\n"
        f"    value_type=ValueType.{_KEY_TYPES[key.type]},\n    description={entity.description!r},\n)"
    )


def _view(conn: Connection, version: ViewVersion) -> str:
    view = version.view
    fields = "".join(
        f"        Field(name={feature.name!r}, dtype={_FEAST_TYPES[feature.type]},"
        f" description={f'{feature.description} ({feature.unit})'!r}),\n"
        for feature in view.features
    )
    tags = {"version": str(version.version), "digest": view.digest, **dict.fromkeys(view.tags, "")}
    ttl = int((view.ttl or timedelta(0)) / timedelta(microseconds=1))
    return (
        f"view_{view.name} = FeatureView(\n    name={view.name!r},\n    entities=[entity_{view.entity.name}],\n"
        f"    ttl=timedelta(microseconds={ttl}),  # zero is for ever\n    schema=[\n{fields}    ],\n"
        f"    source=PostgreSQLSource(\n        name={f'{view.name}_v{version.version}'!r},\n"
        f"        query={source_query(version).as_string(conn)!r},\n        timestamp_field='event_time',\n"
        f"        created_timestamp_column='available_time',\n    ),\n    online=True,\n"
        f"    description={view.description!r},\n    owner={view.owner!r},\n    tags={tags!r},\n)"
    )


def source_query(version: ViewVersion) -> sql.Composed:
    """One row per key, event time and available time: of those written under both the last. Money is a 64-bit float."""
    return sql.SQL(
        "SELECT DISTINCT ON ({keys}, event_time, available_time) {keys}, event_time, available_time, {features} "
        "FROM {history} ORDER BY {keys}, event_time DESC, available_time DESC, seq DESC"
    ).format(
        keys=version.keys,
        history=version.history,
        features=sql.SQL(", ").join(
            sql.SQL("{0}::double precision AS {0}" if feature.type == "money" else "{0}").format(
                sql.Identifier(feature.name)
            )
            for feature in version.view.features
        ),
    )


def _service(service: FeatureService, registry: Registry, *, exported: list[str]) -> str:
    """:raises UnknownFeature: it wants what the repository does not have."""
    wanted = []
    for item in service.features:
        view, names = registry.features_of(item)
        if view.name not in exported:
            raise UnknownFeature(f"it wants the view {view}, which is left out")
        wanted.append(f"view_{view.name}" + ("" if names == view.feature_names else f"[{list(names)!r}]"))
    return (
        f"service_{service.name} = FeatureService(\n    name={service.name!r},\n    features=[{', '.join(wanted)}],\n"
        f"    description={service.description!r},\n    owner={service.owner!r},\n)"
    )
