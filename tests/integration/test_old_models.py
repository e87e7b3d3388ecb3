"""A champion after the definition of a feature has changed: it loads, reads what it learnt from, and says the same."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from include.entities.window import Window
from include.features.building.daily import build_versions, publish_checked
from include.features.definitions.versions import current_version
from include.features.history.historical import get_historical_features
from include.features.online.reads import OnlineFeatures
from include.features.registry import FEATURE_VIEWS, REGISTRY, Registry
from include.models.churn.candidates import LabelledRows, fit_candidate
from include.models.churn.inputs import ON_DEMAND
from include.models.churn.model import ChurnModel
from include.models.registry.model_registry import ModelRegistry
from tests.integration.feature_shop import DAY, NOW, Order, build_all, day, load

START = day("2024-01-01")
TRAINED_AT, LATER = START + DAY * 150, START + DAY * 240
CUSTOMERS = range(1, 81)
CHANGED = replace(
    FEATURE_VIEWS["customer_rfm"],
    query=FEATURE_VIEWS["customer_rfm"].query.replace(
        "(sum(purchase_count) OVER customer_changes)::BIGINT AS frequency",
        "(10 * sum(purchase_count) OVER customer_changes)::BIGINT AS frequency",
    ),
)
AFTER = Registry(
    views=(CHANGED, *(view for name, view in FEATURE_VIEWS.items() if name != "customer_rfm")),
    services=tuple(REGISTRY.services.values()),
)


def orders() -> list[Order]:
    chance = random.Random(3)
    made: list[Order] = []
    for customer in CUSTOMERS:
        instant = START + DAY * chance.uniform(0, 100)
        while instant < LATER:
            made.append(Order(len(made) + 1, customer, instant, Decimal(chance.randrange(100, 9000)) / 100))
            if chance.random() < 0.25:
                break
            instant += DAY * max(chance.expovariate(1 / 25), 0.01)
    return made


def rows_at(conn, at, wanted, registry=REGISTRY) -> pa.Table:
    spine = pa.table({"customer_id": list(CUSTOMERS), "at": pa.array([at] * len(CUSTOMERS), pa.timestamp("us", "UTC"))})
    return get_historical_features(conn, spine, wanted, timestamp_column="at", registry=registry).to_arrow()


def train(conn, bought: list[Order]) -> ChurnModel:
    later = {order.customer_id for order in bought if order.paid_at and order.paid_at >= TRAINED_AT}
    rows = rows_at(conn, TRAINED_AT, [*REGISTRY.service("churn").features, *ON_DEMAND])
    rows = rows.append_column("is_churned", pa.array([customer not in later for customer in CUSTOMERS]))
    return fit_candidate("blend", LabelledRows(rows), horizon_days=90, seed=1).with_deciles(rows)


def test_the_champion_reads_the_version_it_was_trained_on_from_history_and_online(
    warehouse, warehouse_dsn, registry: ModelRegistry
):
    assert CHANGED.query != FEATURE_VIEWS["customer_rfm"].query
    bought = orders()
    load(warehouse, bought)
    build_all(warehouse, Window(TRAINED_AT - DAY, TRAINED_AT))
    model = train(warehouse, bought)
    assert "customer_rfm@1:frequency" in model.wanted
    kept = registry.register(
        "churn", model, model_id="m-1", parameters={}, metrics={}, tags={"feature_views": "customer_rfm@1"}, card=""
    )
    registry.set_alias("churn", kept.version, reason="first")
    before = model.score(rows_at(warehouse, TRAINED_AT, model.wanted))

    later = Window(LATER - DAY, LATER)
    for view in AFTER.views.values():
        build_versions(warehouse, view, later, now=NOW)
    publish_checked(warehouse, AFTER.views.values(), window=later, now=NOW)
    warehouse.commit()
    assert current_version(warehouse, CHANGED).version == 2

    champion = ModelRegistry(registry._address, registry._artefact_root)
    old = champion.load("churn", champion.holder_of("churn").version)
    assert isinstance(old, ChurnModel)
    again = old.score(rows_at(warehouse, TRAINED_AT, old.wanted, AFTER))
    assert again.probability.tolist() == before.probability.tolist()
    assert again.reasons == before.reasons

    at = LATER + timedelta(hours=9)
    history = rows_at(warehouse, at, old.wanted, AFTER)
    changed = rows_at(warehouse, at, ["customer_rfm:frequency"], AFTER)["frequency"].to_pylist()
    assert [value * 10 for value in history["frequency"].to_pylist()] == changed
    with OnlineFeatures(warehouse_dsn, registry=AFTER) as online:
        answer = online.get_online_features(old.wanted, [{"customer_id": each} for each in CUSTOMERS], at=at).to_arrow()
    assert answer["frequency"].to_pylist() == history["frequency"].to_pylist()
    assert old.score(answer).probability.tolist() == old.score(history).probability.tolist()


def test_what_the_new_definition_gives_would_have_been_another_score(warehouse):
    """Or the test above would show nothing."""
    bought = orders()
    load(warehouse, bought)
    build_all(warehouse, Window(TRAINED_AT - DAY, TRAINED_AT))
    model = train(warehouse, bought)
    rows = rows_at(warehouse, TRAINED_AT, model.wanted)
    place = rows.schema.get_field_index("frequency")
    tenfold = pa.array([value * 10 for value in rows["frequency"].to_pylist()])
    assert model.probabilities(rows.set_column(place, "frequency", tenfold)) != pytest.approx(model.probabilities(rows))
