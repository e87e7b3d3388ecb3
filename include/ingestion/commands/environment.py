"""What commands find in their environment: the warehouse, the sources, and landing (in `settings`)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from psycopg import Connection

from include.ingestion.settings import BadSetting
from include.sources.factory import source_for
from include.sources.settings import SourceSettings
from include.sources.source import Source
from include.warehouse.__main__ import BadSetting as BadWarehouse
from include.warehouse.__main__ import dsn
from include.warehouse.connection import connect_warehouse


def warehouse_in(environment: Mapping[str, str]) -> Connection:
    """A connection to the warehouse of AIRFLOW_CONN_WAREHOUSE.

    :raises BadSetting: the setting is missing or wrong.
    :raises WarehouseUnreachable: nobody answers there.
    """
    try:
        return connect_warehouse(dsn(environment.get("AIRFLOW_CONN_WAREHOUSE", "")))
    except BadWarehouse as error:
        raise BadSetting(str(error)) from None


def reader_in(environment: Mapping[str, str], entity: str) -> Source:
    """The source of an entity, to read with what landing holds of it. Its address and key are not needed.

    Of its connection (such as AIRFLOW_CONN_SHOP_API) only the type and the extra count; without it, it is an API.

    :raises BadSetting: the connection is set and cannot be read.
    """

    def settings_of(connection: str) -> SourceSettings:
        name = f"AIRFLOW_CONN_{connection.upper()}"
        try:
            said = json.loads(environment.get(name) or "{}")
            extra = said.get("extra") or {}
            extra = json.loads(extra) if isinstance(extra, str) else extra
            return SourceSettings(
                name=connection, base_url=said.get("host") or "", extra=extra, kind=said.get("conn_type") or "http"
            )
        except (ValueError, AttributeError):
            raise BadSetting(f"{name} is no Airflow connection in JSON; .env.example shows one of each.") from None

    return source_for(entity, settings_of=settings_of)
