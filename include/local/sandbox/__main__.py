"""Serve a shop: `python -m include.local.sandbox --port 8090 [--data online_retail.csv.xz]`.

Credentials come from the environment: SANDBOX_CONSUMER_KEY, SANDBOX_CONSUMER_SECRET, SANDBOX_EVENT_TOKEN,
SANDBOX_STOCK_KEY. Exit code 2: the data file cannot be read as an Online Retail export, or a setting is missing.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from pathlib import Path

import uvicorn

from include.local.sandbox.app import Credentials, build_app
from include.local.sandbox.instants import zulu
from include.local.sandbox.shop import Shop
from include.sources.files.online_retail.errors import ExportRefused


class BadSetting(ValueError):
    """A setting of the sandbox is missing or wrong."""


def main() -> int:
    arguments = _parser().parse_args()
    try:
        credentials = _credentials()
        listener = _listen(arguments.host, arguments.port)
        shop = load_shop(data=arguments.data, customers=arguments.customers, seed=arguments.seed)
    except (BadSetting, ExportRefused) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    shop.utc_offset = round(arguments.utc_offset_hours * 3_600)
    app = build_app(
        shop,
        credentials=credentials,
        instance=arguments.instance,
        latency_seconds=arguments.latency_ms / 1_000,
    )
    port = listener.getsockname()[1]
    counts = " ".join(f"{name}={count}" for name, count in shop.counts.items())
    dates = f"from {zulu(shop.start)} to {zulu(shop.end)}"
    print(f"sandbox: {shop.kind} {dates} at http://{arguments.host}:{port} ({counts})", flush=True)
    logging.getLogger("uvicorn.error").disabled = True
    uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    ).run(sockets=[listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        raise BadSetting(
            f"Cannot serve on {host}:{port}: {error}. Choose another --port, or 0 for a free one."
        ) from None
    return listener


def load_shop(*, data: Path | None, customers: int, seed: int) -> Shop:
    """The replay of `data`, or without it the simulator.

    :raises ExportRefused: the file cannot be read as an Online Retail export.
    """
    if data is not None:
        from include.local.sandbox.replay.replay import replay_shop

        return replay_shop(data)
    from include.local.sandbox.simulator.simulator import Simulator

    return Simulator(customers=customers, seed=seed).shop()


def _credentials() -> Credentials:
    names = ("SANDBOX_CONSUMER_KEY", "SANDBOX_CONSUMER_SECRET", "SANDBOX_EVENT_TOKEN", "SANDBOX_STOCK_KEY")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise BadSetting(f"The environment lacks {', '.join(missing)}. Set each to a value that clients will send.")
    return Credentials(*(os.environ[name] for name in names))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.local.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port to serve on; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--instance", default="", help="token that /_sandbox/health answers with")
    parser.add_argument("--data", type=Path, help="an Online Retail file to replay instead of the simulator")
    parser.add_argument("--customers", type=int, default=1_500, help="size of the simulated shop")
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulated shop")
    parser.add_argument("--utc-offset-hours", type=float, default=0.0, help="how far the shop's zone is ahead of UTC")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="wait before each API answer")
    return parser


if __name__ == "__main__":
    sys.exit(main())
