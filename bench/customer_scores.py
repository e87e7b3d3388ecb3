"""Customers per second and peak memory of the daily scores: probability, decile, three reasons and value with interval.

SCORES_CUSTOMERS (200000 unless given; 1000000 is the full size) made-up customers have features in every view; the
model is the blend of a logistic regression and gradient boosting. A tenth of them is scored first, for the memory.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from psycopg import Connection, sql

from bench.peak import Peak, in_own_process
from bench.result import Result
from bench.warehouse import fresh_warehouse
from include.features.definitions.versions import apply_view
from include.features.definitions.view import FeatureView
from include.features.registry import REGISTRY
from include.models.churn.candidates import fit_candidate
from include.models.lifetime.refit import refit_lifetime
from include.models.registry.model_registry import ModelVersion
from include.models.scores.champion import Champion
from include.warehouse.connection import connect_warehouse
from tests.unit.churn_rows import made_up_rows

CUSTOMERS = int(os.environ.get("SCORES_CUSTOMERS", "200000"))
TIMES = 10
SNAPSHOT = datetime(2025, 6, 1, tzinfo=UTC)
_LIFETIME = {
    "repeat_purchase_days": "floor(-ln(1 - u) * 2)",
    "lifetime_recency_days": "CASE WHEN floor(-ln(1 - u) * 2) > 0 THEN 20 + floor(v * (age - 20)) ELSE 0 END",
    "lifetime_age_days": "age",
    "average_repeat_day_amount": "CASE WHEN floor(-ln(1 - u) * 2) > 0 THEN 5 + 60 * v END",
}
"""Features that the fit of lifetime value reads: those of customers who can be."""


def run() -> list[Result]:
    print(f"bench: customer_scores at {CUSTOMERS:,} customers (full size: SCORES_CUSTOMERS=1000000)", flush=True)
    with tempfile.TemporaryDirectory() as folder, fresh_warehouse() as dsn:
        champion = _champion(Path(folder))
        peaks = []
        with connect_warehouse(dsn) as conn:
            for view in REGISTRY.views.values():
                apply_view(conn, view, now=SNAPSHOT)
            for first, last, snapshot in ((1, CUSTOMERS // TIMES, 0), (1, CUSTOMERS, 1)):
                snapshot_at = SNAPSHOT + timedelta(days=30 * snapshot)
                _fill(conn, first, last, snapshot_at)
                if not snapshot:
                    refit_lifetime(conn, snapshot_at=snapshot_at, now=snapshot_at)
                conn.commit()
                peaks.append(_score(dsn, champion, snapshot_at))
    small, large = peaks
    return [
        Result(
            name="models.customer_scores",
            value=large.answer["rows"] / large.seconds,
            unit="customers/s",
            against=f"{large.answer['rows']:,} customers, features joined, scored, valued and written",
            detail=f"{large.seconds:,.1f} s, peak {large.megabytes:,.0f} MB",
        ),
        Result(
            name="models.memory_customer_scores",
            value=large.megabytes / small.megabytes,
            unit="times",
            against=f"peak memory of scoring a {TIMES}th of the customers",
            goal="≤ 1.5",
            detail=f"{large.megabytes:,.0f} MB for {large.answer['rows']:,} customers, {small.megabytes:,.0f} MB for "
            f"{small.answer['rows']:,}",
        ),
    ]


def _champion(folder: Path) -> Path:
    rows = made_up_rows(seed=1, customers=2000)
    model = fit_candidate("blend", rows, horizon_days=90, seed=0).with_deciles(rows.table)
    path = folder / "champion.pickle"
    path.write_bytes(pickle.dumps(Champion(ModelVersion("churn", "1", "churn-model-of-the-bench"), model)))
    return path


def _score(dsn: str, champion: Path, snapshot_at: datetime) -> Peak:
    return in_own_process(
        "bench.customer_scores_probe", dsn=dsn, champion=str(champion), snapshot_at=snapshot_at.isoformat()
    )


def _fill(conn: Connection, first: int, last: int, snapshot_at: datetime) -> None:
    """Customers, and a row of each of them in every view."""
    conn.execute(
        """
        INSERT INTO shop.customers
        SELECT
            customer_id, NULL, NULL, NULL, 'DE', %(at)s, true, 'bench', %(at)s, gen_random_uuid(), %(at)s, %(at)s
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS customer_id
        ON CONFLICT DO NOTHING
        """,
        {"at": SNAPSHOT, "first": first, "last": last},
    )
    for view in REGISTRY.views.values():
        if view.entity.name == "customer":
            conn.execute(_rows_of(view), {"at": snapshot_at, "first": first, "last": last})
    conn.execute("ANALYZE shop.customers")


def _rows_of(view: FeatureView) -> sql.Composed:
    random = {"integer": "floor(random() * 12)", "number": "random() * 90", "money": "random() * 500", "text": "'tea'"}
    values = [sql.SQL(_LIFETIME.get(each.name, random[each.type])) for each in view.features]
    return sql.SQL(
        """
        INSERT INTO {history} (customer_id, event_time, available_time, ingested_at, seq, is_tombstone, {features})
        SELECT customer_id, %(at)s, %(at)s, %(at)s, 1, false, {values}
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS customer_id
        CROSS JOIN LATERAL (
            SELECT
                random() AS u, random() AS v, 21 + floor(700 * random()) AS age
            WHERE customer_id IS NOT NULL
        ) AS made_up
        """
    ).format(
        history=sql.Identifier("features", f"{view.name}_v1"),
        features=sql.SQL(", ").join(sql.Identifier(each.name) for each in view.features),
        values=sql.SQL(", ").join(values),
    )
