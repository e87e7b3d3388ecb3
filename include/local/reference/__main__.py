"""Write the reference of the documentation: `python -m include.local.reference` leaves `docs/reference/*.md`.

It starts a Postgres of its own for the comments on tables and columns, and reads the DAGs as Airflow does. A test
compares what it would write with what is there.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from psycopg import Connection

from include.local.reference.commands import commands_page
from include.local.reference.dags import dags_page
from include.local.reference.entities import entities_page
from include.local.reference.feature_views import feature_views_page
from include.local.reference.marts import marts_page
from include.local.reference.metrics import metrics_page
from include.local.reference.settings import settings_page
from include.local.reference.tables import tables_page

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "docs" / "reference"


def pages(conn: Connection, dags: Mapping[str, Any], *, now: datetime) -> dict[str, str]:
    """Name of the file to its content.

    :param conn: a warehouse with all migrations and feature views, empty.
    :param dags: the DAGs of a `DagBag` by their ids.
    """
    return {
        "dags.md": dags_page(dags),
        "entities.md": entities_page(conn),
        "feature-views.md": feature_views_page(),
        "marts.md": marts_page(conn),
        "tables.md": tables_page(conn, now=now),
        "settings.md": settings_page(ROOT / ".env.example"),
        "metrics.md": metrics_page(yaml.safe_load((ROOT / "deploy" / "statsd" / "mapping.yaml").read_text())),
        "commands.md": commands_page(ROOT / "Makefile"),
    }


def main() -> int:
    argparse.ArgumentParser(prog="python -m include.local.reference", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="reference-") as folder:
        written = _written(Path(folder))
    FOLDER.mkdir(exist_ok=True)
    for name, content in written.items():
        (FOLDER / name).write_text(content)
    print(f"reference: wrote {len(written)} pages into {FOLDER.relative_to(ROOT)}")
    return 0


def _written(folder: Path) -> dict[str, str]:
    os.environ.update(
        AIRFLOW_HOME=str(folder / "airflow"),
        AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(ROOT / "plugins"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )
    sys.path.append(str(ROOT / "plugins"))
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    from include.features.definitions.versions import apply_view
    from include.features.registry import FEATURE_VIEWS
    from include.local.postgres import PostgresServer
    from include.warehouse.connection import connect_warehouse
    from include.warehouse.migrations import migrate

    now = datetime.now(UTC)
    initdb()
    server = PostgresServer(folder / "postgres")
    server.start()
    try:
        with connect_warehouse(server.dsn("postgres")) as conn:
            migrate(conn)
            for view in FEATURE_VIEWS.values():
                apply_view(conn, view, now=now)
            return pages(conn, DagBag(str(ROOT / "dags")).dags, now=now)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
