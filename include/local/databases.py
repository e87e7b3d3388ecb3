"""The databases of the embedded server: one warehouse per shop, and Airflow's metadata."""

from __future__ import annotations

import psycopg
from psycopg import sql

from include.local.postgres import PostgresServer
from include.warehouse.connection import connect_warehouse
from include.warehouse.migrations import migrate

AIRFLOW_DATABASE = "airflow"


def ensure_database(server: PostgresServer, name: str) -> None:
    """Make the database when it is missing."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as admin:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def ensure_warehouse(server: PostgresServer, name: str) -> list[str]:
    """Make the warehouse when it is missing and bring it up to the newest migration.

    :returns: names of the migrations applied now.
    """
    ensure_database(server, name)
    with connect_warehouse(server.dsn(name)) as conn:
        return migrate(conn)


def metadata_version(server: PostgresServer) -> str:
    """The Airflow version that the metadata database was migrated to, or an empty string."""
    with psycopg.connect(server.dsn("postgres")) as conn:
        row = conn.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (AIRFLOW_DATABASE,)
        ).fetchone()
    return (row[0] if row else None) or ""


def set_metadata_version(server: PostgresServer, version: str) -> None:
    """Remember in the database itself what it was migrated to, so that the two cannot part."""
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as conn:
        conn.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(AIRFLOW_DATABASE), sql.Literal(version))
        )


def quiet_airflow(server: PostgresServer) -> None:
    """Pause every DAG and end runs that an interrupted command left open. Only while no part of Airflow runs.

    Done here and not over the REST API because the scheduler would go on with them before the API answers.
    """
    with psycopg.connect(server.dsn(AIRFLOW_DATABASE)) as conn:
        conn.execute("UPDATE dag SET is_paused = true WHERE NOT is_paused")
        conn.execute(
            """
            UPDATE task_instance SET state = 'failed', end_date = now()
            WHERE state IN ('scheduled', 'queued', 'running', 'restarting', 'up_for_retry', 'up_for_reschedule',
                            'deferred')
            """
        )
        conn.execute("UPDATE dag_run SET state = 'failed', end_date = now() WHERE state IN ('queued', 'running')")
