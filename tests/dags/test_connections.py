"""What an Airflow connection says of a source: an API or a folder of files, and nothing else."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("connection", "kind", "base_url"),
    [
        ({"conn_type": "http", "host": "https://shop.example.com"}, "http", "https://shop.example.com"),
        ({"conn_type": "http", "host": "shop", "schema": "http", "port": 80}, "http", "http://shop:80"),
        ({"conn_type": "fs", "extra": {"path": "/srv/export"}}, "fs", "/srv/export"),
        ({"conn_type": "file", "host": "/srv/export"}, "file", "/srv/export"),
        ({"conn_type": "aws", "extra": {"path": "s3://bucket/export"}}, "aws", "s3://bucket/export"),
        ({"conn_type": "fs"}, "fs", ""),
    ],
)
def test_a_connections_type_and_address_become_those_of_the_source(monkeypatch, connection, kind, base_url):
    from orchestration.connections import source_settings

    monkeypatch.setenv("AIRFLOW_CONN_SHOP_API", json.dumps(connection))
    settings = source_settings("shop_api")
    assert (settings.kind, settings.base_url) == (kind, base_url)


def test_a_connection_of_another_type_is_refused_with_the_types_that_are_known(monkeypatch):
    from orchestration.connections import source_settings

    from include.sources.errors import ContractBroken
    from include.sources.factory import source_for

    monkeypatch.setenv("AIRFLOW_CONN_SHOP_API", json.dumps({"conn_type": "postgres", "host": "somewhere"}))
    with pytest.raises(ContractBroken, match=r"type 'postgres'.*http, https .* and file, fs, aws"):
        source_for("orders", settings_of=source_settings)


def test_a_folder_that_is_not_named_is_told_where_to_write_it(monkeypatch):
    import asyncio
    from datetime import UTC, datetime

    from orchestration.connections import source_settings

    from include.entities.window import Window
    from include.sources.errors import ContractBroken
    from include.sources.factory import source_for

    monkeypatch.setenv("AIRFLOW_CONN_SHOP_API", json.dumps({"conn_type": "fs"}))
    source = source_for("orders", settings_of=source_settings)

    async def first() -> None:
        async for _ in source.pages(Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))):
            pass

    with pytest.raises(ContractBroken, match=r"names no folder.*as `path`"):
        asyncio.run(first())
