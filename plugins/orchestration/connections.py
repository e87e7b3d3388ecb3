"""From Airflow's connections and variables, and the environment, to plain settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import Connection, Variable
from airflow.sdk.exceptions import AirflowNotFoundException

from include.sources.settings import FILE_KINDS, SourceSettings

if TYPE_CHECKING:
    import redis
    from psycopg import Connection as WarehouseConnection

    from include.ingestion.landing import Landing


class NotConfigured(RuntimeError):
    """A setting that every task needs is missing."""


def source_settings(connection_id: str) -> SourceSettings:
    """Settings of an API or of a folder of files from the Airflow connection of that name.

    An API's host may bring its scheme along; without one the connection's schema counts, else https. A folder stands
    in the extra `path`, as Airflow's own type `fs` has it, or is the host: an absolute path or a URL such as
    `s3://bucket/folder`.
    """
    connection = _connection(connection_id)
    kind = connection.conn_type or "http"
    return SourceSettings(
        name=connection_id,
        base_url=_folder(connection) if kind in FILE_KINDS else _address(connection),
        login=connection.login,
        password=connection.password,
        extra=connection.extra_dejson,
        kind=kind,
    )


def _address(connection: Connection) -> str:
    host = (connection.host or "").rstrip("/")
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    return f"{host}:{connection.port}" if connection.port else host


def _folder(connection: Connection) -> str:
    return str(connection.extra_dejson.get("path") or connection.host or "")


def warehouse_dsn() -> str:
    """The warehouse's connection string, from the connection `warehouse`."""
    from psycopg.conninfo import make_conninfo

    connection = _connection("warehouse")
    return make_conninfo(
        host=connection.host,
        port=connection.port,
        user=connection.login,
        password=connection.password,
        dbname=connection.schema,
    )


def warehouse() -> WarehouseConnection:
    """Open a connection to the warehouse; commits only when told to, or at the end of a `with` that ends well.

    :raises WarehouseUnreachable: it does not answer.
    """
    from include.warehouse.connection import connect_warehouse

    return connect_warehouse(warehouse_dsn())


def online_redis() -> redis.Redis | None:
    """The Redis of the optional connection `online_redis`, which online features are published to besides."""
    import redis

    try:
        connection = Connection.get("online_redis")
    except AirflowNotFoundException:
        return None
    return redis.Redis(
        host=connection.host or "localhost",
        port=connection.port or 6379,
        db=int(connection.schema or 0),
        username=connection.login or None,
        password=connection.password or None,
        ssl=bool(connection.extra_dejson.get("ssl", False)),
    )


def _connection(connection_id: str) -> Connection:
    """:raises NotConfigured: there is no such connection."""
    try:
        return Connection.get(connection_id)
    except AirflowNotFoundException:
        raise NotConfigured(
            f"There is no Airflow connection `{connection_id}`. Define it in the UI, or set AIRFLOW_CONN_"
            f"{connection_id.upper()} for every part of Airflow; .env.example describes each. Then clear this task."
        ) from None


def landing() -> Landing:
    """Where raw answers are kept: REGULARS_LANDING, else the folder `landing` in REGULARS_STORAGE.

    :raises NotConfigured: neither is set, or the address is none.
    """
    from include.ingestion.settings import BadSetting, landing_of

    try:
        return landing_of(os.environ)
    except BadSetting as error:
        raise NotConfigured(str(error)) from None


def landing_days() -> int:
    """REGULARS_LANDING_DAYS: for how many days raw answers are kept.

    :raises NotConfigured: it is no whole number from 1 on.
    """
    from include.ingestion.settings import BadSetting, days_of

    try:
        return days_of(os.environ)
    except BadSetting as error:
        raise NotConfigured(str(error)) from None


def is_switched_on(variable: str) -> bool:
    """Whether an Airflow variable says so: `true` or `false`, in any case; not set is false.

    :raises ValueError: it is something else.
    """
    value = str(Variable.get(variable, default="false")).strip().lower()
    if value not in ("true", "false"):
        raise ValueError(f"The Airflow variable {variable} is {value!r}. Set it to true or false.")
    return value == "true"


def storage() -> Path:
    """The folder of model artefacts, and of landing unless REGULARS_LANDING says otherwise; all workers share it.

    :raises NotConfigured: `REGULARS_STORAGE` is not set.
    """
    folder = os.environ.get("REGULARS_STORAGE")
    if not folder:
        raise NotConfigured("REGULARS_STORAGE is not set. Set it to a folder that every worker can write to.")
    return Path(folder)
