"""The API and its keys: `python -m include.serving [--host …] [--port …]` and `python -m include.serving keys …`.

The warehouse's address comes from AIRFLOW_CONN_WAREHOUSE, the JSON form of an Airflow connection; the model registry's
from MLFLOW_TRACKING_URI and REGULARS_STORAGE (`include/models/registry/settings.py`). Exit codes: 1 when the warehouse
cannot be reached or written for a command about keys, 2 for a wrong argument or setting, or a port that is taken.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg.errors import InsufficientPrivilege

from include.serving.keys import (
    BURST,
    REQUESTS_PER_SECOND,
    SCOPES,
    BadKeyRequest,
    create_key,
    list_keys,
    revoke_key,
)
from include.serving.settings import ServingSettings, utc_now
from include.warehouse.__main__ import BadSetting, dsn
from include.warehouse.connection import WarehouseUnreachable, connect_warehouse

LOOPBACK = "127.0.0.1"
PORT = 8000
_BACKLOG = 1024
_SWITCH_SECONDS = 0.001
"""After so long the thread that scores lets the requests go on; Python's own 5 ms would be seen in their time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to end, or do one thing with keys."""
    asked = parser().parse_args(arguments)
    try:
        address = dsn(os.environ.get("AIRFLOW_CONN_WAREHOUSE", ""))
        return _keys(asked, address) if asked.command == "keys" else _serve(asked, address)
    except (BadSetting, BadKeyRequest) as error:
        print(f"serving: {error}", file=sys.stderr)
        return 2
    except WarehouseUnreachable as error:
        print(f"serving: {error}", file=sys.stderr)
        return 1
    except InsufficientPrivilege as error:
        print(
            f"serving: {str(error).strip()}. Keys are made by the owner of the warehouse; where AIRFLOW_CONN_WAREHOUSE "
            "names it, run this again (in the deployment: docker compose exec scheduler …).",
            file=sys.stderr,
        )
        return 1


def _serve(asked: argparse.Namespace, address: str) -> int:
    # For a handful of rows the threads of scikit-learn wait for each other longer than they work.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import uvicorn

    from include.models.registry.settings import registry_from_environment
    from include.serving.app import build_app
    from include.serving.warehouse import serving_pool

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    for noisy in ("psycopg.pool", "alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    sys.setswitchinterval(_SWITCH_SECONDS)
    clock = utc_now if asked.now is None else (lambda: asked.now)
    app = build_app(
        ServingSettings(timeout_seconds=asked.timeout, clock=clock),
        registry=registry_from_environment, pool=serving_pool(address),
    )  # fmt: skip
    try:
        listening = socket.create_server((asked.host, asked.port), backlog=_BACKLOG)
    except OSError as error:
        print(
            f"serving: {asked.host}:{asked.port} cannot be listened on: {error}. Give another --port.", file=sys.stderr
        )
        return 2
    logging.getLogger("serving").info("serving at http://%s:%d", asked.host, listening.getsockname()[1])
    # The access log of uvicorn would show paths with the ids of customers; the Guard writes one without.
    config = uvicorn.Config(
        app, access_log=False, log_config=None, server_header=False, date_header=False, timeout_graceful_shutdown=10
    )
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _keys(asked: argparse.Namespace, address: str) -> int:
    with connect_warehouse(address) as conn:
        if asked.action == "create":
            key = create_key(
                conn, name=asked.name, scopes=asked.scope, now=utc_now(), burst=asked.burst,
                requests_per_second=asked.requests_per_second,
            )  # fmt: skip
            conn.commit()
            print("serving: keep this key, it is not shown again:", file=sys.stderr)
            print(key)
        elif asked.action == "revoke":
            key_id = revoke_key(conn, asked.name, now=utc_now())
            conn.commit()
            print(f"revoked {key_id}")
        else:
            for key_ in list_keys(conn):
                state = f"revoked {key_.revoked_at:%Y-%m-%d %H:%M}" if key_.revoked_at else "in use"
                print(
                    f"{key_.key_id}  {key_.name:<20}  {','.join(key_.scopes)}  {key_.requests_per_second:g}/s, burst "
                    f"{key_.burst}  made {key_.created_at:%Y-%m-%d %H:%M}  {state}"
                )
    return 0


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError
    return instant.astimezone(UTC)


def parser() -> argparse.ArgumentParser:
    """What may be written on the command line."""
    made = argparse.ArgumentParser(prog="python -m include.serving", description="The API and its keys.")
    made.add_argument("--host", default=LOOPBACK, help="address to listen on (%(default)s)")
    made.add_argument("--port", type=int, default=PORT, help="port to listen on, 0 for a free one (%(default)s)")
    made.add_argument("--timeout", type=float, default=5.0, help="seconds that a request may take (%(default)s)")
    made.add_argument(
        "--now", type=_instant, metavar="INSTANT",
        help="let this always be the instant of the request, for a shop whose time stands still: 2026-01-01T00:00:00Z",
    )  # fmt: skip
    commands = made.add_subparsers(dest="command")
    keys = commands.add_parser("keys", help="make, list and revoke keys").add_subparsers(dest="action", required=True)
    create = keys.add_parser("create", help="make a key and print it, once")
    create.add_argument("name", help="who will call with it; stands in logs")
    create.add_argument("--scope", action="append", required=True, choices=list(SCOPES), help="what it may read")
    create.add_argument("--requests-per-second", type=float, default=REQUESTS_PER_SECOND, help="(%(default)s)")
    create.add_argument("--burst", type=int, default=BURST, help="requests at once after a pause (%(default)s)")
    keys.add_parser("list", help="show all keys, without their secrets")
    keys.add_parser("revoke", help="let a key no longer count").add_argument("name", help="its name or key id")
    return made


if __name__ == "__main__":
    sys.exit(main())
