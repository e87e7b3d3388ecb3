"""A shop with a champion, a candidate, scores, drift and recommendations, all written by hand instead of trained."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

from psycopg import Connection
from psycopg.types.json import Jsonb

from include.entities.window import Window
from include.features.building.build import build_view
from include.features.definitions.versions import current_version
from include.features.online.publish import publish_online
from include.features.upkeep.statistics import measure
from include.features.views.customer_rfm import CUSTOMER_RFM
from tests.integration.feature_shop import DAY, NOW, Order, Refund, day, load

SNAPSHOT = day("2024-03-05")
BEFORE = SNAPSHOT - DAY * 7
HORIZON_DAYS = 90
CHAMPION, CANDIDATE = "churn-model-of-hand", "churn-model-too-weak"
SOMEBODY, WITHOUT_SCORE = 7, 61
REFUND = Decimal("1.50")
REASONS = (
    ("recency_days", 1.5, "last purchase 143 days ago; typical is 30"),
    ("frequency", -0.5, "paid orders ever: 2 orders; typical is 5"),
)
SCORERS = {"model": 0.85, "bg_nbd": 0.8, "recency_only": 0.75, "rfm_score": 0.7}


def orders_of(seed: int, *, customers: int = 60) -> list[Order]:
    """One to eight orders of each customer within the year before the newest snapshot; the last one after it."""
    rng = random.Random(seed)
    orders = [
        (customer, SNAPSHOT - timedelta(days=rng.uniform(1, 360)), Decimal(rng.randrange(100, 20_000)) / 100)
        for customer in range(1, customers + 1)
        for _ in range(rng.randint(1, 8))
    ]
    orders.append((WITHOUT_SCORE, SNAPSHOT + DAY, Decimal(10)))
    orders.sort(key=lambda order: order[1])
    return [Order(n, customer, at, amount, (n % 5 + 1,)) for n, (customer, at, amount) in enumerate(orders, 1)]


ORDERS = orders_of(41)
OWN = [order for order in ORDERS if order.customer_id == SOMEBODY]
EVERYBODY = sorted({order.customer_id for order in ORDERS if order.paid_at < SNAPSHOT})


def fill(conn: Connection) -> None:
    """Load the shop, build and publish one view, and write down what models would have said."""
    load(conn, [*ORDERS, Refund(1, SNAPSHOT, REFUND, order_id=OWN[0].order_id)])
    build_view(conn, CUSTOMER_RFM, Window(BEFORE - DAY * 30, SNAPSHOT), now=NOW)
    publish_online(conn, [CUSTOMER_RFM], window=Window(SNAPSHOT - DAY, SNAPSHOT), now=NOW)
    measure(conn, current_version(conn, CUSTOMER_RFM), now=NOW)
    _write_models(conn)
    rng = random.Random(42)
    for snapshot_at in (BEFORE, SNAPSHOT):
        _write_scores(conn, snapshot_at, rng)
        _write_monitoring(conn, snapshot_at, rng)
    _write_recommendations(conn)
    conn.commit()


def _write_models(conn: Connection) -> None:
    conn.execute(
        """
        INSERT INTO ml.training_sets VALUES ('set', 'churn', %(start)s, %(end)s, %(end)s, 3, 100, 50, '{}', 'd', 'f',
            %(now)s)
        """,
        {"start": BEFORE, "end": SNAPSHOT, "now": NOW},
    )
    for version, (model_id, status, drop) in enumerate([(CHAMPION, "champion", 0.0), (CANDIDATE, "refused", 0.2)], 1):
        scores = {name: {"auc": auc - drop * (name == "model"), "brier": 0.2} for name, auc in SCORERS.items()}
        conn.execute(
            """
            INSERT INTO ml.models (
                model_id, name, training_set_id, trained_at, window_start, window_end, parameters, data_digest,
                training_row_count, libraries, artefact_digest, status, status_reason, status_at, metrics, evaluated_at,
                registry_version
            )
            VALUES (%(id)s, 'churn', 'set', %(at)s, %(start)s, %(end)s, '{}', 'd', 100, '{}', 'd', %(status)s,
                'as the gate decided', %(at)s, %(metrics)s, %(at)s, %(version)s)
            """,
            {
                "id": model_id, "at": SNAPSHOT + DAY * version, "start": BEFORE, "end": SNAPSHOT, "status": status,
                "version": str(version),
                "metrics": Jsonb({"test_rows": 50, "model": scores["model"], "canaries": []}),
            },
        )  # fmt: skip
        rows = [(model_id, name, metric, value) for name, own in scores.items() for metric, value in own.items()]
        with conn.cursor() as cursor:
            cursor.executemany("INSERT INTO ml.evaluations VALUES (%s, %s, %s, %s)", rows)
        bins = [{"number": n, "row_count": 5, "mean_probability": n / 10 - 0.05, "observed_rate": n / 11}
                for n in range(1, 11)]  # fmt: skip
        report = {"model_id": model_id, "reliability": {"model": bins, "bg_nbd": bins}, "test_rows": 50}
        conn.execute(
            "INSERT INTO ml.churn_reports VALUES (%s, %s, '<html>the report</html>', %s)",
            (model_id, Jsonb(report), NOW),
        )
    conn.execute("INSERT INTO ml.aliases VALUES ('churn_champion', %s, %s)", (CHAMPION, NOW))
    conn.execute(
        """
        INSERT INTO ml.alias_changes (alias, model_id, reason, set_at)
        VALUES ('churn_champion', %s, 'it beats all', %s)
        """,
        (CHAMPION, NOW),
    )
    conn.execute(
        """
        INSERT INTO ml.churn_backtests
        VALUES (%s, 'logistic', '2023-12-01', 40, 0.5, 1, 0.8, 0.5, 0.05, 0.1, 0.07, 0.5, 0.5)
        """,
        (CHAMPION,),
    )


def _write_scores(conn: Connection, snapshot_at, rng: random.Random) -> None:
    conn.execute(
        "INSERT INTO ml.score_runs VALUES (%s, %s, '1', %s, NULL, %s, %s)",
        (CHAMPION, snapshot_at, HORIZON_DAYS, len(EVERYBODY), snapshot_at + timedelta(hours=3)),
    )
    for customer_id in EVERYBODY:
        probability, value = rng.random(), rng.choice([0.0, 0.5, rng.lognormvariate(4, 1.5)])
        reasons = [{"feature": name, "value": 1.0, "effect": effect, "text": text} for name, effect, text in REASONS]
        conn.execute(
            "INSERT INTO ml.customer_scores VALUES (%s, %s, %s, '1', %s, %s, %s, %s, %s, %s, %s)",
            (
                customer_id, snapshot_at, CHAMPION, probability, int(probability * 10) + 1, Jsonb(reasons), value,
                value * 0.8, value * 1.3, snapshot_at + timedelta(hours=3),
            ),
        )  # fmt: skip


def _write_monitoring(conn: Connection, snapshot_at, rng: random.Random) -> None:
    for subject in ("recency_days", "frequency", "churn_probability"):
        psi = 0.4 if subject == "frequency" and snapshot_at == SNAPSHOT else rng.uniform(0, 0.2)
        conn.execute(
            "INSERT INTO ml.monitoring VALUES (%s, %s, %s, 'psi', %s, NULL, 0.25, %s, 300, %s)",
            (CHAMPION, snapshot_at, subject, psi, psi > 0.25, NOW),
        )
    conn.execute(
        "INSERT INTO ml.monitoring VALUES (%s, %s, 'reality', 'auc', 0.84, 0.85, 0.8, false, 300, %s)",
        (CHAMPION, snapshot_at, NOW),
    )


def _write_recommendations(conn: Connection) -> None:
    conn.execute(
        """
        INSERT INTO ml.recommendation_runs (
            model_id, as_of, parameters, data_digest, file_path, purchase_count, customer_count, product_count, status,
            method, method_reason, built_at, published_at
        )
        VALUES ('r', %(at)s, '{}', 'd', 'f', 100, 60, 5, 'published', 'blend', 'it beats popularity', %(at)s, %(at)s)
        """,
        {"at": SNAPSHOT},
    )
    for method, value in (("blend", 0.4), ("popularity", 0.3)):
        conn.execute(
            "INSERT INTO ml.recommendation_metrics VALUES ('r', 'test', 'all', %s, 'hit_rate', 60, %s, 0.25, 0.45)",
            (method, value),
        )
    for product in (1, 2, 3):
        conn.execute(
            """
            INSERT INTO shop.products VALUES (%s, 's', %s, 5, 'GBP', '[]', '{}', 'instock', true, NULL, 'test',
                '2000-01-01Z', '00000000-0000-0000-0000-000000000000', '2000-01-01Z', '2000-01-01Z')
            """,
            (product, f"Teapot {product}"),
        )
    conn.execute(
        "INSERT INTO ml.recommendations VALUES (%s, 2, 1, 0.9, 'repeat', 'r', %s), (%s, 3, 2, 0.5, 'factors', 'r', %s)",
        (SOMEBODY, SNAPSHOT, SOMEBODY, SNAPSHOT),
    )
