"""Feast repositories over the table or the file of one view, the least that Feast needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from include.features.definitions.versions import ViewVersion

_FEATURES = """
from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, Int64, String

entity = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
view = FeatureView(
    name={name!r},
    entities=[entity],
    ttl=timedelta(seconds={ttl}),
    schema=[{fields}],
    source={source},
    online=True,
)
"""
_TYPES = {"integer": "Int64", "number": "Float64", "money": "Float64", "text": "String"}


def postgres_repository(folder: Path, dsn: str, *versions: ViewVersion) -> Path:
    """Offline and online store on the warehouse; online tables go into the schema `feast`."""
    return _write(folder, _offline(dsn) | {"online_store": _postgres(dsn) | {"db_schema": "feast"}}, _tables(versions))


def redis_repository(folder: Path, dsn: str, redis: str, *versions: ViewVersion) -> Path:
    """Offline store on the warehouse, online store on Redis.

    :param redis: its URL.
    """
    store = {"type": "redis", "connection_string": redis.removeprefix("redis://")}
    return _write(folder, _offline(dsn) | {"online_store": store}, _tables(versions))


def _postgres(dsn: str) -> dict[str, Any]:
    given = conninfo_to_dict(dsn)
    return {
        "type": "postgres",
        "host": given["host"],
        "port": int(given["port"] or 5432),
        "database": given["dbname"],
        "user": given["user"],
        "password": "${PGPASSWORD}",
        "sslmode": "disable",
    }


def _offline(dsn: str) -> dict[str, Any]:
    return {"offline_store": _postgres(dsn) | {"db_schema": "features"}}


def _tables(versions: tuple[ViewVersion, ...]) -> dict[ViewVersion, str]:
    return {
        version: f'PostgreSQLSource(name="source_{version.view.name}", '
        f'query="SELECT * FROM features.{version.view.name}_v{version.version}", timestamp_field="event_time")'
        for version in versions
    }


def duckdb_repository(folder: Path, file: Path, version: ViewVersion) -> Path:
    """Offline store on DuckDB over a Parquet file."""
    source = f'FileSource(name="source", path={str(file)!r}, timestamp_field="event_time")'
    return _write(folder, {"offline_store": {"type": "duckdb"}}, {version: source})


def _write(folder: Path, stores: dict[str, Any], sources: dict[ViewVersion, str]) -> Path:
    folder.mkdir()
    settings = {"project": "bench", "provider": "local", "registry": "registry.db"}
    (folder / "feature_store.yaml").write_text(
        json.dumps(settings | {"entity_key_serialization_version": 3} | stores)  # JSON is YAML.
    )
    for version, source in sources.items():
        view = version.view
        fields = ", ".join(f"Field(name={each.name!r}, dtype={_TYPES[each.type]})" for each in view.features)
        ttl = view.ttl.total_seconds() if view.ttl else 0
        (folder / f"{view.name}.py").write_text(_FEATURES.format(name=view.name, ttl=ttl, fields=fields, source=source))
    return folder
