"""One `make demo`: how it ended, what it told, and what it left."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg

SHOP_TABLES = ("customers", "products", "orders", "order_lines", "refunds", "refund_lines", "events")
CUSTOMERS = 300


class Ran:
    """One demo: how it ended, what it told, and what the warehouse holds after it."""

    def __init__(self, local: Callable[..., subprocess.CompletedProcess[str]], home: Path) -> None:
        self.ended = local("demo", "--customers", str(CUSTOMERS))
        assert self.ended.returncode == 0, self.ended.stdout + self.ended.stderr
        self.summary: dict[str, Any] = json.loads((home / "summary.json").read_text())
        with psycopg.connect(local("dsn").stdout.strip()) as conn:
            self.digests = {table: digest(conn, f"shop.{table}") for table in SHOP_TABLES}
            self.counts = {table: count(conn, f"shop.{table}") for table in SHOP_TABLES}
            self.history = count(conn, "features.customer_rfm")
            self.quarantined = count(conn, "quarantine.rejected_rows")
        self.processes = commands_of(home)


def commands_of(home: Path) -> list[list[str]]:
    """Command lines of the processes that run for this home."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found.append(process.cmdline())
    return [command for command in found if any(str(home) in word for word in command)]


def count(conn: psycopg.Connection, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return row[0]


def digest(conn: psycopg.Connection, table: str) -> str:
    """Every byte of every row, the times of writing included."""
    row = conn.execute(f"SELECT md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {table} AS t").fetchone()
    assert row is not None
    return row[0]
