"""`make api-keys DO="…"`: `python -m include.serving keys …` on the embedded stack."""

from __future__ import annotations

import subprocess
import sys

from include.local.airflow_settings import clean_environment
from include.local.commands import dsn
from include.local.connections import connections
from include.local.errors import LocalStackError
from include.local.keys import load_keys
from include.local.places import CHECKOUT, Places
from include.local.serving import WAREHOUSE


def api_keys(arguments: list[str], *, places: Places) -> int:
    """Run one command on the warehouse used last, and return its exit code. Postgres is started when it is down.

    :raises LocalStackError: Postgres does not start.
    """
    described = connections(warehouse_dsn=dsn(places=places), sandbox_port=0, keys=load_keys(places.keys))
    command = [sys.executable, "-m", "include.serving", "keys", *(arguments or ["--help"])]
    environment = {**clean_environment(), WAREHOUSE: described[WAREHOUSE]}
    return subprocess.run(command, env=environment, cwd=CHECKOUT).returncode  # noqa: S603  # our own module


if __name__ == "__main__":
    try:
        sys.exit(api_keys(sys.argv[1:], places=Places()))
    except LocalStackError as error:
        print(f"\n{error}", file=sys.stderr)
        sys.exit(1)
