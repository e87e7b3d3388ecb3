"""The model's quality beside its baselines, out of the warehouse."""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row


def model_report(conn: Connection, *, start: str, end: str) -> dict[str, Any] | None:
    """What became of the model that was trained over the window, and every metric of it and of its baselines.

    :returns: None when no model of this window was evaluated.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            """
            SELECT
                m.model_id, m.name, m.registry_version, m.status, m.status_reason, m.training_row_count,
                t.test_row_count, t.test_at
            FROM ml.models AS m JOIN ml.training_sets AS t USING (training_set_id)
            WHERE m.window_start = %s AND m.window_end = %s AND m.evaluated_at IS NOT NULL
            ORDER BY greatest(m.evaluated_at, m.status_at) DESC LIMIT 1
            """,
            (start, end),
        ).fetchone()
        if found is None:
            return None
        rows = cursor.execute(
            "SELECT scorer, metric, value FROM ml.evaluations WHERE model_id = %s ORDER BY scorer <> 'model', scorer",
            (found["model_id"],),
        ).fetchall()
    scores: dict[str, dict[str, float]] = {}
    for row in rows:
        scores.setdefault(row["scorer"], {})[row["metric"]] = row["value"]
    return {
        **found,
        "test_at": found["test_at"].isoformat(),
        "is_champion": found["status"] == "champion",
        "scores": scores,
    }
