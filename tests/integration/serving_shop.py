"""A small shop with features in history and online, and churn models that were really trained on it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
from psycopg import Connection

from include.entities.window import Window
from include.features.history.historical import get_historical_features
from include.features.online.publish import publish_online
from include.features.registry import FEATURE_VIEWS, REGISTRY
from include.models.churn.candidates import LabelledRows, fit_candidate
from include.models.churn.inputs import ON_DEMAND
from include.models.churn.model import Calibration, ChurnModel
from include.models.lifetime.refit import refit_lifetime
from include.models.lifetime.scores import score_lifetime
from include.models.registry.model_registry import ModelRegistry, ModelVersion
from tests.integration.feature_shop import DAY, NOW, Order, build_all, day, load
from tests.integration.test_recommendation_reads import add_products

START = day("2024-01-01")
HORIZON = DAY * 90
NEWEST = START + DAY * 420
"""The snapshot that is online; two older ones are trained on."""
TRAINED_AT = (NEWEST - HORIZON * 2, NEWEST - HORIZON)
AT = NEWEST + timedelta(hours=9, minutes=30, microseconds=1)
CUSTOMERS = 200
RUN = "recommendations-1"


def fill_shop(conn: Connection, *, customers: int = CUSTOMERS) -> list[Order]:
    """Orders up to the newest snapshot, features of three snapshots, and the newest of them online."""
    orders = _orders(customers, seed=5)
    load(conn, orders)
    for snapshot in (*TRAINED_AT, NEWEST):
        build_all(conn, Window(snapshot - DAY, snapshot))
    publish_online(conn, FEATURE_VIEWS.values(), window=Window(NEWEST - DAY, NEWEST), now=NOW)
    conn.commit()
    return orders


def train_model(conn: Connection, orders: Sequence[Order], *, name: str = "logistic") -> ChurnModel:
    """A candidate fitted on the older snapshots, with a calibration and a season."""
    paid = {(order.customer_id, order.paid_at) for order in orders}
    rows = [
        (customer, at, not any(who == customer and at <= instant < at + HORIZON for who, instant in paid))
        for at in TRAINED_AT
        for customer in sorted({who for who, instant in paid if who is not None and at - DAY * 365 <= instant < at})
    ]
    customers, instants, churned = zip(*rows, strict=True)
    spine = pa.table(
        {
            "customer_id": pa.array(customers, pa.int64()),
            "at": pa.array(instants, pa.timestamp("us", "UTC")),
            "is_churned": pa.array(churned, pa.bool_()),
        }
    )
    wanted = [*REGISTRY.service("churn").features, *ON_DEMAND]
    joined = get_historical_features(conn, spine, wanted, timestamp_column="at").to_arrow()
    model = fit_candidate(name, LabelledRows(joined), horizon_days=HORIZON.days, seed=1)
    season = tuple(1 + 0.3 * math.sin(day / 58) for day in range(366))
    return model.calibrated(Calibration(0.9, 0.1, season)).with_deciles(joined)


def fill_tables(conn: Connection) -> None:
    """What other tasks publish: the products that customers 1 to 20 may like, those that many buy, and pairs."""
    add_products(conn, range(1, 31))
    conn.execute(
        """INSERT INTO ml.recommendation_runs (model_id, as_of, parameters, data_digest, file_path, purchase_count,
        customer_count, product_count, status, built_at) VALUES (%s, %s, '{}', '', '', 1, 1, 1, 'published', %s)""",
        (RUN, NEWEST, NOW),
    )
    conn.execute(
        """INSERT INTO ml.recommendations (customer_id, rank, product_id, score, source, model_id, computed_at)
        SELECT customer_id, rank, (customer_id + rank) %% 30 + 1, 1.0 / rank, 'repeat', %s, %s
        FROM generate_series(1, 20) AS customer_id, generate_series(1, 3) AS rank""",
        (RUN, NOW),
    )
    conn.execute(
        """INSERT INTO ml.popular_products (rank, product_id, score, model_id, computed_at)
        SELECT rank, 31 - rank, 9.0 / rank, %s, %s FROM generate_series(1, 30) AS rank""",
        (RUN, NOW),
    )
    conn.execute(
        """INSERT INTO ml.bought_together (product_id, other_product_id, rank, order_count, support, confidence,
        reverse_confidence, lift, model_id, computed_at)
        SELECT product_id, (product_id + rank) %% 30 + 1, rank, 4, 0.1, 0.5, 0.25, 2.5, %s, %s
        FROM generate_series(1, 29) AS product_id, generate_series(1, 5) AS rank""",
        (RUN, NOW),
    )
    conn.commit()


def fill_values(conn: Connection) -> None:
    """Lifetime values of all customers at the newest snapshot, by a fit to their histories there."""
    refit_lifetime(conn, snapshot_at=NEWEST, now=NOW)
    score_lifetime(conn, snapshot_at=NEWEST, now=NOW)
    conn.commit()


def crown(registry: ModelRegistry, model: ChurnModel, *, model_id: str) -> ModelVersion:
    """Register a model and make it the champion."""
    kept = registry.register("churn", model, model_id=model_id, parameters={}, metrics={}, tags={}, card="a test")
    registry.set_alias("churn", kept.version, reason="a test")
    return kept


def _orders(customers: int, *, seed: int) -> list[Order]:
    """Customers who buy at a rate of their own, for amounts of their own, and may stop for good after any purchase."""
    chance = random.Random(seed)
    orders: list[Order] = []
    for customer in range(1, customers + 1):
        instant, rate = START + DAY * chance.uniform(0, 300), chance.gammavariate(1.2, 1 / 20)
        stops, amount_on_average = chance.betavariate(0.8, 2.5), chance.gammavariate(3, 15)
        while instant < NEWEST:
            amount = round(Decimal(chance.gammavariate(4, amount_on_average / 4) + 0.01), 2)
            products = tuple(chance.randrange(30) + 1 for _ in range(chance.randrange(1, 4)))
            orders.append(Order(len(orders) + 1, customer, instant, amount, products))
            if chance.random() < stops:
                break
            instant += DAY * max(chance.expovariate(rate), 0.001)
    return orders
