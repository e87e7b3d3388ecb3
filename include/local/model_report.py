"""The newest model's quality beside its baselines, out of the warehouse."""

from __future__ import annotations

from typing import Any

from psycopg import Connection


def model_report(conn: Connection) -> dict[str, Any] | None:
    """Name, version, decision and metrics of the model evaluated last; None when there is none."""
    return None
