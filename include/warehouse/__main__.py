"""Bring the warehouse up to the newest migration, and give the API's role its rights: `python -m include.warehouse`.

The address comes from AIRFLOW_CONN_WAREHOUSE, the JSON form of an Airflow connection. Exit code 2: the setting is
missing or wrong, Postgres cannot be reached, or an applied migration was edited; nothing was changed.
"""

from __future__ import annotations

import json
import os
import sys

from psycopg.conninfo import make_conninfo

from include.warehouse.api_role import grant_to_api
from include.warehouse.connection import WarehouseUnreachable, connect_warehouse
from include.warehouse.migrations import MigrationChanged, migrate


class BadSetting(ValueError):
    """AIRFLOW_CONN_WAREHOUSE is missing or wrong."""


def main() -> int:
    try:
        with connect_warehouse(dsn(os.environ.get("AIRFLOW_CONN_WAREHOUSE", ""))) as conn, conn.transaction():
            applied = migrate(conn)
            grant_to_api(conn)
    except (BadSetting, WarehouseUnreachable, MigrationChanged) as error:
        print(f"warehouse: {error}", file=sys.stderr)
        return 2
    print(f"warehouse: {'applied ' + ', '.join(applied) if applied else 'nothing to apply'}")
    return 0


def dsn(connection: str) -> str:
    """The libpq connection string of an Airflow connection in its JSON form.

    :raises BadSetting: it is empty, or no JSON object with host, login, password and schema.
    """
    try:
        parts = json.loads(connection)
        return make_conninfo(
            host=parts["host"],
            port=parts.get("port", 5432),
            user=parts["login"],
            password=parts["password"],
            dbname=parts["schema"],
        )
    except (ValueError, KeyError, TypeError):
        raise BadSetting(
            "AIRFLOW_CONN_WAREHOUSE is no JSON object with host, login, password and schema. Write "
            '{"conn_type": "postgres", "host": "…", "port": 5432, "login": "…", "password": "…", "schema": "…"}.'
        ) from None


if __name__ == "__main__":
    sys.exit(main())
