"""`make ingestion DO="…"`: the commands of `python -m include.ingestion` on the embedded stack."""

from __future__ import annotations

import subprocess
import sys

from include.local.airflow_settings import airflow_environment
from include.local.commands import dsn
from include.local.connections import connections
from include.local.errors import LocalStackError
from include.local.keys import load_keys
from include.local.places import CHECKOUT, Places
from include.local.shop import last_shop


def ingestion(arguments: list[str], *, places: Places, module: str = "include.ingestion") -> int:
    """Run one command with the settings that tasks have here, and return its exit code.

    Postgres is started when it is down. The sandbox is not: these commands ask no API.

    :param module: whose command it is.

    :raises LocalStackError: Postgres does not start.
    """
    environment = airflow_environment(
        places=places,
        connections=connections(warehouse_dsn=dsn(places=places), sandbox_port=0, keys=load_keys(places.keys)),
        storage=places.storage / last_shop(places.shop).database,
    )
    command = [sys.executable, "-m", module, *(arguments or ["--help"])]
    return subprocess.run(command, env=environment, cwd=CHECKOUT).returncode  # noqa: S603  # our own module


if __name__ == "__main__":
    try:
        sys.exit(ingestion(sys.argv[1:], places=Places()))
    except LocalStackError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(1)
