"""Pages per second out of an API with 50 ms latency: ours into landing, a `requests` loop, Airflow's HttpHook."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import requests

from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.entities.window import Window
from include.ingestion.landing import Landing
from include.ingestion.service import service_in_postgres
from include.sources.limits import HttpLimits
from include.sources.settings import SourceSettings
from include.sources.woocommerce_orders import WooCommerceOrders
from include.warehouse.connection import connect_warehouse
from tests.integration.sandbox_process import SandboxProcess, sandbox

LATENCY_MS = 50
CUSTOMERS = 2_500
CONCURRENCY = 32
"""Requests under way at once; what a connection's extra sets with `limits`."""
USUAL_CONCURRENCY = HttpLimits().concurrency
"""The same where the extra sets none."""
ROUNDS = 3
PATH = "/wp-json/wc/v3/orders"


def run() -> list[Result]:
    with sandbox(customers=CUSTOMERS, latency_ms=LATENCY_MS) as box, fresh_warehouse() as dsn:
        health = box.health()
        window = Window(*(datetime.fromisoformat(health[name]).astimezone(UTC) for name in ("start", "end")))
        pages = int(box.get("/orders", per_page=100).headers["X-WP-TotalPages"])
        ways: dict[str, Callable[[], int]] = {
            "ours": lambda: _ours(box, window, dsn, limits={"concurrency": CONCURRENCY}),
            "usual": lambda: _ours(box, window, dsn, limits={}),
            "bare": lambda: asyncio.run(_bare(box, pages)),
            "requests": lambda: _requests_loop(box, pages),
            "hook": lambda: _http_hook(box, pages),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        asyncio.run(_bare(box, pages))  # the sandbox has written every record once
        for _ in range(ROUNDS):
            for name, read in ways.items():
                started = time.perf_counter()
                count = read()
                seconds[name].append((time.perf_counter() - started) / count)
    rate = {name: 1 / statistics.median(each) for name, each in seconds.items()}
    detail = (
        f"{rate['ours']:.0f} pages/s against {rate['requests']:.1f} and {rate['hook']:.1f}, {pages} pages of 100 "
        f"orders, median of {ROUNDS} rounds in turn, {CONCURRENCY} requests at once; what bounds it: "
        f"{rate['bare']:.0f} pages/s by bare aiohttp, which throws them away"
    )
    return [
        Result(
            name="ingestion.extraction_times_requests_loop",
            value=rate["ours"] / rate["requests"],
            unit="times",
            against=f"one request after the other through requests.Session, {LATENCY_MS} ms each; ours lands them too",
            goal="≥ 10",
            detail=detail,
        ),
        Result(
            name="ingestion.extraction_usual_times_requests",
            value=rate["usual"] / rate["requests"],
            unit="times",
            against="the same loop; ours with the limits that a connection has whose extra sets none",
            detail=f"{rate['usual']:.0f} pages/s, {USUAL_CONCURRENCY} requests at once",
        ),
        Result(
            name="ingestion.extraction_times_http_hook",
            value=rate["ours"] / rate["hook"],
            unit="times",
            against="one Airflow HttpHook call per page",
            detail=detail,
        ),
    ]


def _ours(box: SandboxProcess, window: Window, dsn: str, *, limits: dict[str, int]) -> int:
    settings = SourceSettings(
        name="shop_api",
        base_url=box.base_url,
        login=box.consumer_key,
        password=box.consumer_secret,
        extra={"limits": limits},
    )
    with tempfile.TemporaryDirectory() as folder, connect_warehouse(dsn) as conn:
        service = service_in_postgres(conn, WooCommerceOrders(settings), landing=Landing(folder))
        return asyncio.run(service.extract(window)).details["pages"]


def _parameters(page: int) -> dict[str, Any]:
    return {"per_page": 100, "orderby": "modified", "order": "asc", "page": page}


async def _bare(box: SandboxProcess, pages: int) -> int:
    """What the sandbox and this machine give at most."""
    under_way = asyncio.Semaphore(CONCURRENCY)
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    auth = aiohttp.BasicAuth(*box.key)
    async with aiohttp.ClientSession(box.base_url, auth=auth, connector=connector) as session:

        async def read(page: int) -> None:
            async with under_way, session.get(PATH, params=_parameters(page)) as answer:
                assert answer.status == 200
                await answer.read()

        await asyncio.gather(*map(read, range(1, pages + 1)))
    return pages


def _requests_loop(box: SandboxProcess, pages: int) -> int:
    with requests.Session() as session:
        session.auth = box.key
        for page in range(1, pages + 1):
            answer = session.get(f"{box.base_url}{PATH}", params=_parameters(page), timeout=60)
            answer.raise_for_status()
            answer.json()
    return pages


def _http_hook(box: SandboxProcess, pages: int) -> int:
    """As Airflow's documentation calls it."""
    from airflow.providers.http.hooks.http import HttpHook

    at = urlsplit(box.base_url)
    connection = {"conn_type": "http", "host": at.hostname, "port": at.port, "schema": "http"}
    connection |= {"login": box.consumer_key, "password": box.consumer_secret}
    os.environ["AIRFLOW_CONN_BENCH_SHOP"] = json.dumps(connection)
    hook = HttpHook(method="GET", http_conn_id="bench_shop")
    for page in range(1, pages + 1):
        hook.run(PATH, data=_parameters(page)).json()
    return pages
