"""Scores the customers of a made-up warehouse; for `bench.customer_scores`."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.peak import tell
from include.models.scores.score import score_customers
from include.warehouse.connection import connect_warehouse

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def score(dsn: str, champion: str, snapshot_at: str) -> dict[str, Any]:
    loaded = pickle.loads(Path(champion).read_bytes())
    with connect_warehouse(dsn) as conn:
        receipt = score_customers(conn, loaded, snapshot_at=datetime.fromisoformat(snapshot_at), now=NOW)
    return {"rows": receipt.received, "seconds": receipt.seconds}


if __name__ == "__main__":
    tell(score)
