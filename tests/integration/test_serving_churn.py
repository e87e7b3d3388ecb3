"""Churn in real time: the bits of the batch score, honest about age, and a champion taken up while requests go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from include.features.history.historical import get_historical_features
from include.features.online.reads import OnlineFeatures
from include.models.churn.model import ChurnModel
from include.models.registry.model_registry import ModelRegistry
from include.models.scores.champion import load_champion
from include.models.scores.score import score_customers
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import NOW
from tests.integration.registry_stores import sqlite_registry
from tests.integration.serving_host import Api, api, until
from tests.integration.serving_shop import (
    AT,
    CUSTOMERS,
    NEWEST,
    crown,
    fill_shop,
    fill_values,
    train_model,
)
from tests.own_database import own_database

CALLERS = 8


@dataclass
class Shop:
    """A warehouse with features online, and two models trained on it; tests only read it."""

    dsn: str
    logistic: ChurnModel
    blend: ChurnModel


@pytest.fixture(scope="module")
def shop(postgres_server) -> Iterator[Shop]:
    with own_database(postgres_server, "serving_shop") as dsn, connect_warehouse(dsn) as conn:
        orders = fill_shop(conn)
        fill_values(conn)
        yield Shop(dsn, train_model(conn, orders), train_model(conn, orders, name="blend"))


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return sqlite_registry(tmp_path / "registry")


@pytest.fixture
def start(shop: Shop, registry: ModelRegistry) -> Iterator[Callable[..., Api]]:
    """Starts the API with the logistic model as champion, at an instant."""
    crown(registry, shop.logistic, model_id="first")
    running = []

    def begin(at: datetime = AT) -> Api:
        context = api(shop.dsn, registry=lambda: registry, clock=lambda: at, key_name=f"key-{len(running)}")
        started = context.__enter__()
        running.append(context)
        until(lambda: started.get("/readyz").status_code == 200)
        return started

    yield begin
    for context in running:
        context.__exit__(None, None, None)
    with connect_warehouse(shop.dsn) as conn:
        conn.execute("DELETE FROM serving.api_keys")
        conn.commit()


def in_batch(shop: Shop, model: ChurnModel, *, at: datetime = AT) -> dict[int, dict]:
    """What the model gives for the rows of history at that instant, all at once, as the API would put it."""
    spine = pa.table(
        {
            "customer_id": pa.array(range(1, CUSTOMERS + 1), pa.int64()),
            "event_timestamp": pa.array([at] * CUSTOMERS, pa.timestamp("us", "UTC")),
        }
    )
    with connect_warehouse(shop.dsn) as conn:
        rows = get_historical_features(conn, spine, list(model.wanted)).to_arrow()
    scores = model.score(rows)
    return {
        customer: {
            "probability": float(scores.probability[place]),
            "decile": int(scores.decile[place]),
            "reasons": [
                {"feature": each.feature, "value": each.value, "effect": each.effect, "text": each.text}
                for each in scores.reasons[place]
            ],
        }
        for place, customer in enumerate(range(1, CUSTOMERS + 1))
        if rows["customer_rfm_status"][place].as_py() == "present"
    }


def told(score: dict) -> dict:
    return {name: score[name] for name in ("probability", "decile", "reasons")}


@pytest.mark.parametrize("model", ["logistic", "blend"])
def test_a_score_is_that_of_the_batch_at_the_same_instant_bit_for_bit(shop, registry, start, model):
    crown(registry, getattr(shop, model), model_id=model)
    running = start()
    expected = in_batch(shop, getattr(shop, model))
    assert len(expected) == CUSTOMERS
    assert len({score["probability"] for score in expected.values()}) > CUSTOMERS / 2
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(lambda customer: running.get(f"/v1/customers/{customer}/churn"), expected))
    for customer, answer in zip(expected, answers, strict=True):
        assert answer.status_code == 200, answer.text
        score = answer.json()
        assert datetime.fromisoformat(score["at"]) == AT
        assert told(score) == expected[customer]
    batch = running.ask("POST", "/v1/churn:batch", json={"customer_ids": list(expected)}).json()
    assert {score["customer_id"]: told(score) for score in batch["scores"]} == expected
    assert batch["model"]["model_id"] == model


def test_a_score_is_that_of_the_night_at_the_instant_of_the_snapshot(shop, registry, start):
    running = start(NEWEST)
    with connect_warehouse(shop.dsn) as conn:
        score_customers(conn, load_champion(registry), snapshot_at=NEWEST, now=NOW)
        stored = conn.execute("SELECT customer_id, churn_probability, churn_decile, reasons FROM ml.customer_scores")
        expected = {
            customer: {"probability": probability, "decile": decile, "reasons": reasons}
            for customer, probability, decile, reasons in stored
        }
    batch = running.ask("POST", "/v1/churn:batch", json={"customer_ids": list(expected)}).json()
    assert {score["customer_id"]: told(score) for score in batch["scores"]} == expected
    assert len(expected) == CUSTOMERS


def test_a_batch_answers_in_the_order_asked_and_names_who_cannot_be_scored(start):
    answer = start().ask("POST", "/v1/churn:batch", json={"customer_ids": [9, 10**9, 3, 9]}).json()
    assert [score["customer_id"] for score in answer["scores"]] == [9, 3, 9]
    assert answer["unscored"] == [{"customer_id": 10**9, "problem": "unknown-customer"}]


def test_a_customer_nobody_knows_is_not_found(start):
    running = start()
    for path in ("churn", "features", "recommendations"):
        answer = running.get(f"/v1/customers/{10**9}/{path}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:problem-type:regulars:unknown-customer")


def test_features_say_how_old_they_are(start):
    score = start().get("/v1/customers/7/churn").json()
    assert score["features"]["customer_rfm"] == {
        "status": "present",
        "event_at": f"{NEWEST:%Y-%m-%dT%H:%M:%SZ}",
        "age_seconds": (AT - NEWEST).total_seconds(),
        "is_stale": False,
    }


def test_features_that_missed_a_build_are_flagged_and_those_too_old_give_no_number(start):
    late = start(NEWEST + timedelta(days=3))
    assert late.get("/v1/customers/7/churn").json()["features"]["customer_rfm"]["is_stale"] is True
    metrics = late.get("/metrics").text
    assert f"regulars_api_score_age_seconds {timedelta(days=3).total_seconds()}" in metrics
    too_late = start(NEWEST + timedelta(days=7, microseconds=1))
    answer = too_late.get("/v1/customers/7/churn")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:problem-type:regulars:features-too-old")
    batch = too_late.ask("POST", "/v1/churn:batch", json={"customer_ids": [7]}).json()
    assert batch["scores"] == []
    assert batch["unscored"] == [{"customer_id": 7, "problem": "features-too-old"}]
    assert too_late.get("/v1/customers/7/features").json()["views"]["customer_rfm"]["status"] == "outside ttl"


def test_all_features_of_a_customer_are_those_of_the_online_store(shop, start):
    answer = start().get("/v1/customers/7/features").json()
    views = list(answer["views"])
    with OnlineFeatures(shop.dsn) as online:
        found = online.get_online_features(views, [{"customer_id": 7}], at=AT).to_dict(include_statuses=True)
    for name, values in found.items():
        if name != "customer_id" and not name.endswith("__status"):
            assert answer["features"][name]["value"] == values[0]
            assert answer["features"][name]["status"] == found[f"{name}__status"][0]
    now = answer["features"]["recency_days_now"]
    assert now["value"] > answer["features"]["recency_days"]["value"]
    assert datetime.fromisoformat(now["event_at"]) == AT
    assert {"customer_rfm", "customer_lifetime", "customer_context"} <= set(views)


def test_a_value_is_that_of_the_newest_snapshot_and_says_when_it_is_old(shop, start):
    with connect_warehouse(shop.dsn) as conn:
        stored = conn.execute(
            """SELECT value_amount, value_low_amount, value_high_amount, probability_alive, expected_purchases,
            purchase_value_amount, lifetime_model_id FROM ml.lifetime_values WHERE customer_id = 7"""
        ).fetchone()
    answer = start().get("/v1/customers/7/value").json()
    assert (*list(answer.values())[1:7], answer["model_id"]) == stored
    assert answer["value_low_amount"] < answer["value_amount"] < answer["value_high_amount"]
    assert datetime.fromisoformat(answer["snapshot_at"]) == NEWEST
    assert (answer["age_seconds"], answer["is_stale"]) == ((AT - NEWEST).total_seconds(), False)
    week = timedelta(days=8)
    for age, is_stale in ((week, False), (week + timedelta(microseconds=1), True)):
        assert start(NEWEST + age).get("/v1/customers/7/value").json()["is_stale"] is is_stale
    assert start(NEWEST - timedelta(days=3)).get("/v1/customers/7/value").status_code == 404


def test_a_new_champion_is_taken_up_while_requests_go_on_and_none_fails(shop, registry, start):
    running = start()
    expected = {"1": in_batch(shop, shop.logistic), "2": in_batch(shop, shop.blend)}
    seen: list[tuple[int, str, int, float]] = []
    is_over = threading.Event()

    def ask(caller: int) -> None:
        customer = caller
        while not is_over.is_set():
            customer = customer % CUSTOMERS + 1
            answer = running.get(f"/v1/customers/{customer}/churn")
            body = answer.json()
            seen.append((answer.status_code, body["model"]["version"], customer, body["probability"]))

    with ThreadPoolExecutor(CALLERS) as callers:
        asking = [callers.submit(ask, caller) for caller in range(CALLERS)]
        try:
            until(lambda: len(seen) > 50)
            crown(registry, shop.blend, model_id="second")
            until(lambda: any(version == "2" for _, version, _, _ in seen[-5:]))
            registry.rollback("churn", reason="a test")
            until(lambda: seen[-1][1] == "1")
        finally:
            is_over.set()
        for each in asking:
            each.result()
    assert {status for status, _, _, _ in seen} == {200}
    assert all(expected[version][customer]["probability"] == found for _, version, customer, found in seen)
    assert 'regulars_api_model_info{model="churn",model_id="first",version="1"} 1.0' in running.get("/metrics").text


def test_a_champion_that_cannot_be_loaded_is_left_aside_and_the_former_goes_on(shop, registry, start, tmp_path):
    running = start()
    kept = registry.register("churn", shop.blend, model_id="bad", parameters={}, metrics={}, tags={}, card="a test")
    (artefact,) = [path for path in (tmp_path / "registry").rglob("model.joblib") if kept.run_id in str(path)]
    good = artefact.read_bytes()
    artefact.write_bytes(good[:-1] + b"x")
    registry.set_alias("churn", kept.version, reason="a test")
    until(lambda: "regulars_api_model_failures_total 0.0" not in running.get("/metrics").text)
    assert running.get("/v1/customers/7/churn").json()["model"]["model_id"] == "first"
    assert running.get("/readyz").status_code == 200
    artefact.write_bytes(good)
    until(lambda: running.get("/v1/customers/7/churn").json()["model"]["model_id"] == "bad")
