"""Peak memory of a window of 10 times the rows, over that of the window itself; each step in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bench.landed_orders import WINDOW, LandedOrders, land_orders
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.entities.window import Window
from include.ingestion.landing import Landing
from tests.integration.sandbox_process import SandboxProcess, sandbox

ROWS = 40_000
TIMES = 10
SPOILT_PER_PAGE = 50
CUSTOMERS = 12_000
"""Of the sandbox that is extracted from: it serves more JSON than a process may grow by, so keeping it would show."""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder, fresh_warehouse() as dsn:
        where = {"dsn": dsn, "landing": folder}
        landing = Landing(folder)
        good = [land_orders(landing, rows=ROWS), land_orders(landing, rows=ROWS * TIMES)]
        spoilt = [land_orders(landing, rows=rows, spoilt=SPOILT_PER_PAGE) for rows in (ROWS, ROWS * TIMES)]
        return [
            _extraction(landing, where),
            _result("validate", [_step(where, "validate", each) for each in good], ""),
            _result("load", [_step(where, "load", each) for each in good], ""),
            _result(
                "validate_half_rejected",
                [_step(where, "validate", each) for each in spoilt],
                f"; {SPOILT_PER_PAGE} of 100 orders rejected with their lines",
            ),
        ]


def _extraction(landing: Landing, where: dict[str, Any]) -> Result:
    with sandbox(customers=CUSTOMERS) as box:
        served = {"base_url": box.base_url, "login": box.consumer_key, "password": box.consumer_secret}
        windows = _windows(box)
        peaks = [_probe({**where, **served, "step": "extract", "window": (w.start, w.end)}) for w in windows]
    served_bytes = [_body_bytes(landing, window) for window in windows]
    megabytes = " and ".join(f"{each / 1e6:,.0f} MB" for each in reversed(served_bytes))
    return _result("extract", peaks, f"; rows are orders here, {megabytes} of JSON from the sandbox")


def _body_bytes(landing: Landing, window: Window) -> int:
    """Of all pages that were landed for a window."""
    batches = landing.batches(entity="orders", window=window)
    return sum(len(page.body) for batch in batches for _, page in landing.pages(batch))


def _windows(box: SandboxProcess) -> list[Window]:
    """The whole of the sandbox's time, and the part at its end that has a tenth of the modifications."""
    health = box.health()
    start, end = (datetime.fromisoformat(health[name]).astimezone(UTC) for name in ("start", "end"))
    modified = box.get("/orders", per_page=1, orderby="modified", order="desc", offset=0)
    tenth = int(modified.headers["X-WP-Total"]) // TIMES
    at = box.get("/orders", per_page=1, orderby="modified", order="desc", offset=tenth).json()[0]["date_modified_gmt"]
    part = Window(datetime.fromisoformat(at).replace(tzinfo=UTC) + timedelta(hours=1), end)
    return [part, Window(start, end)]


def _step(where: dict[str, Any], step: str, landed: LandedOrders) -> dict[str, float]:
    return _probe({**where, "step": step, "batch": landed.batch, "window": (WINDOW.start, WINDOW.end)})


def _probe(asked: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.memory_probe", msgspec.json.encode(asked).decode()]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return msgspec.json.decode(answer.splitlines()[-1])


def _result(name: str, peaks: list[dict[str, float]], detail: str) -> Result:
    small, large = peaks
    return Result(
        name=f"ingestion.memory_{name}",
        value=large["megabytes"] / small["megabytes"],
        unit="times",
        against=f"peak memory of the same step over a window with a {TIMES}th of the rows",
        goal="≤ 1.5",
        detail=f"{large['megabytes']:,.0f} MB for {large['rows']:,.0f} rows, "
        f"{small['megabytes']:,.0f} MB for {small['rows']:,.0f}{detail}",
    )
