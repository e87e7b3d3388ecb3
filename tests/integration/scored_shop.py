"""A shop with habits, features at a few snapshots, and a churn model that is champion of a registry of its own."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

from psycopg import Connection

from include.entities.window import Window
from include.models.churn.candidates import LabelledRows, fit_candidate
from include.models.churn.parameters import ChurnParameters
from include.models.churn.training_set import build_training_set, read_training_rows
from include.models.lifetime.refit import refit_lifetime
from include.models.registry.model_registry import ModelRegistry
from include.models.scores.champion import Champion, load_champion
from tests.integration.feature_shop import DAY, NOW, Order, build_all, day, load

START = day("2023-01-01")
DAYS = 400
END = START + DAY * DAYS
"""Where the data ended when the model was trained."""
LAST = END + DAY * 150
PARAMETERS = ChurnParameters(step_days=28)
HORIZON = PARAMETERS.horizon
SNAPSHOT = END + DAY
MODEL_ID = "churn-model-of-tests"


def orders_of(seed: int, *, customers: int) -> list[Order]:
    """Customers who buy at a rate of their own and may stop for good after any purchase."""
    rng = random.Random(seed)
    orders: list[Order] = []
    for customer in range(1, customers + 1):
        instant, rate = START + DAY * rng.uniform(0, DAYS * 0.7), rng.gammavariate(1.2, 1 / 20)
        stops, mean = rng.betavariate(0.8, 2.5), rng.uniform(5, 80)
        while instant < LAST:
            amount = Decimal(int(100 * rng.gammavariate(4, mean / 4)) + 1) / 100
            orders.append(Order(len(orders) + 1, customer, instant, amount, (rng.randrange(30),)))
            if rng.random() < stops:
                break
            instant += DAY * max(rng.expovariate(rate), 0.001)
    return orders


ORDERS = orders_of(27, customers=350)


def fill(conn: Connection, storage: Path) -> str:
    """Load the shop, build what training and `SNAPSHOT` need, and give the id of the training set."""
    load(conn, ORDERS)
    test_at = PARAMETERS.test_snapshot(coverage_end=END)
    training_at = PARAMETERS.training_snapshots(coverage_end=END, data_start=START)
    for snapshot in [*training_at, test_at, SNAPSHOT]:
        build_all(conn, Window(snapshot - DAY, snapshot))
    training_set = build_training_set(
        conn, window=Window(END - DAY * 7, END), storage=storage, now=NOW, parameters=PARAMETERS
    )
    conn.commit()
    return training_set.training_set_id


def crown(
    conn: Connection, registry: ModelRegistry, training_set_id: str, storage: Path, *, model_id: str = MODEL_ID
) -> Champion:
    """Fit a model on the training set, enter it everywhere, and make it champion."""
    training, _ = read_training_rows(conn, training_set_id=training_set_id, storage=storage)
    fitted = fit_candidate("logistic", LabelledRows(training), horizon_days=HORIZON.days, seed=len(model_id))
    model = fitted.with_deciles(training)
    kept = registry.register("churn", model, model_id=model_id, parameters={}, metrics={}, tags={}, card="of tests")
    conn.execute(
        """
        INSERT INTO ml.models (
            model_id, name, training_set_id, trained_at, window_start, window_end, parameters, data_digest,
            training_row_count, libraries, artefact_digest, status, status_reason, status_at
        )
        SELECT %s, 'churn', training_set_id, %s, window_start, window_end, parameters, data_digest,
            training_row_count, '{}', 'none', 'champion', 'of tests', %s
        FROM ml.training_sets WHERE training_set_id = %s
        """,
        (model_id, NOW, NOW, training_set_id),
    )
    conn.commit()
    registry.set_alias("churn", kept.version, reason="of tests")
    return load_champion(registry)


def fit_values(conn: Connection) -> None:
    refit_lifetime(conn, snapshot_at=SNAPSHOT, now=NOW)
    conn.commit()
