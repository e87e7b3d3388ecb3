"""`/metrics` for Prometheus: `python -m include.ingestion.metrics [--host …] [--port …] [--once]`.

Everything is read from the warehouse at each scrape, so the end of a task's process loses nothing; one that is killed
loses nothing of rows and receipts, and of requests the last second at most. The warehouse's address comes from
AIRFLOW_CONN_WAREHOUSE, the JSON form of an Airflow connection. While Postgres is down the answer is `regulars_up 0`
without the rest. Exit codes: 1 when `--once` finds the warehouse down, 2 for a wrong setting or a port
that is taken.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import psycopg
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from include.ingestion.metrics_families import families
from include.ingestion.metrics_readings import read_metrics
from include.warehouse.__main__ import BadSetting, dsn
from include.warehouse.connection import WarehouseUnreachable, connect_warehouse

LOOPBACK = "127.0.0.1"
PORT = 9464

log = logging.getLogger("metrics")


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


class WarehouseCollector(Collector):
    """Reads the warehouse at each scrape, over a connection of its own; safe for several scrapes at once.

    :param clock: what ages and lags are measured to.
    :ivar is_up: whether the last scrape could read it, None before the first.
    """

    def __init__(self, address: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._address = address
        self._clock = clock
        self.is_up: bool | None = None

    def collect(self) -> Iterator[Metric]:
        """Every metric, or `regulars_up 0` alone."""
        started = time.monotonic()
        found: list[Metric] = []
        try:
            with connect_warehouse(self._address) as conn:
                readings = read_metrics(conn)
            found = list(families(readings, now=self._clock()))
            self._say(up=True, reason="")
        except (WarehouseUnreachable, psycopg.Error) as error:
            self._say(up=False, reason=f" reason={' '.join(str(error).split())}")
        yield GaugeMetricFamily("regulars_up", "Whether the warehouse could be read.", value=float(bool(found)))
        yield GaugeMetricFamily(
            "regulars_scrape_seconds", "How long reading the warehouse took.", value=time.monotonic() - started
        )
        yield from found

    def _say(self, *, up: bool, reason: str) -> None:
        """One line whenever it changes."""
        if up != self.is_up:
            self.is_up = up
            log.log(logging.INFO if up else logging.ERROR, "metrics up=%d%s", up, reason)


def registry_of(collector: Collector) -> CollectorRegistry:
    """A registry with this collector alone: nothing about this process, whose counts would end with it."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        collector = WarehouseCollector(dsn(os.environ.get("AIRFLOW_CONN_WAREHOUSE", "")))
    except BadSetting as error:
        print(f"metrics: {error}", file=sys.stderr)
        return 2
    registry = registry_of(collector)
    if asked.once:
        print(generate_latest(registry).decode(), end="")
        return 0 if collector.is_up else 1
    try:
        server, thread = start_http_server(asked.port, addr=asked.host, registry=registry)
    except OSError as error:
        print(
            f"metrics: {asked.host}:{asked.port} cannot be listened on: {error}. Give another --port.", file=sys.stderr
        )
        return 2
    log.info("metrics serving at http://%s:%d/metrics", asked.host, server.server_port)
    thread.join()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.ingestion.metrics", description="/metrics for Prometheus.")
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="port to listen on, 0 for a free one (%(default)s)")
    parser.add_argument("--once", action="store_true", help="print the metrics and exit")
    return parser


if __name__ == "__main__":
    sys.exit(main())
