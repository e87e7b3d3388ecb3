"""The churn model on a shop with known habits: labels, leaks, repetition, evaluation, promotion, too little data."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import psycopg
import pyarrow.parquet
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from include.entities.window import Window
from include.features.registry import FEATURE_VIEWS
from include.models.churn.baselines import BASELINES, fit_baseline
from include.models.churn.candidates import LabelledRows
from include.models.churn.errors import EvaluationOutOfDate
from include.models.churn.evaluate import Evaluation, evaluate
from include.models.churn.parameters import ChurnParameters
from include.models.churn.promote import Promotion, promote
from include.models.churn.train import train
from include.models.churn.training_set import (
    NotEnoughData,
    TrainingSet,
    TrainingSetLost,
    build_training_set,
    read_training_rows,
)
from include.models.registry.errors import ModelMissing
from include.models.registry.model_registry import ModelRegistry
from include.warehouse.connection import connect_warehouse
from include.warehouse.receipts import loaded_stretches
from tests.integration.feature_oracle import Past
from tests.integration.feature_shop import DAY, NOW, Order, build_all, day, load, write_load_receipt
from tests.integration.registry_stores import sqlite_registry
from tests.own_database import own_database

START = day("2023-01-01")
DAYS = 400
END = START + DAY * DAYS
WINDOW = Window(END - DAY * 7, END)
HORIZON = timedelta(days=90)
PARAMETERS = ChurnParameters(step_days=28)


def shop_with_habits(seed: int, *, customers: int) -> list[Order]:
    """Customers who buy at a rate of their own, more regularly than BG/NBD thinks, and may stop for good after any
    purchase; some orders by guests."""
    rng = random.Random(seed)
    orders: list[Order] = []
    for customer in range(1, customers + 1):
        instant, rate = START + DAY * rng.uniform(0, DAYS * 0.7), rng.gammavariate(1.2, 1 / 20)
        stops = rng.betavariate(0.8, 2.5)
        while instant < END:
            owner = None if rng.random() < 0.02 else customer
            paid_at = None if rng.random() < 0.02 else instant
            amount = Decimal(rng.randrange(100, 9000)) / 100
            orders.append(Order(len(orders) + 1, owner, paid_at, amount, (rng.randrange(30),)))
            if rng.random() < stops:
                break
            instant += DAY * max(rng.gammavariate(4, 1 / (4 * rate)), 0.001)
    return orders


ORDERS = shop_with_habits(15, customers=600)


def build_features_at(conn, *, coverage_end: datetime) -> None:
    """Only the snapshots that the model asks for."""
    test_at = PARAMETERS.test_snapshot(coverage_end=coverage_end)
    for snapshot in [*PARAMETERS.training_snapshots(coverage_end=coverage_end, data_start=START), test_at]:
        build_all(conn, Window(snapshot - DAY, snapshot))


@pytest.fixture(scope="module")
def template(postgres_server):
    """A database with the shop and its features, copied for each test."""
    with own_database(postgres_server, "churn_template") as dsn:
        with connect_warehouse(dsn) as conn:
            load(conn, ORDERS)
            build_features_at(conn, coverage_end=END)
        yield "churn_template"


@pytest.fixture
def shop(postgres_server, template):
    with own_database(postgres_server, "churn_shop", template=template) as dsn, connect_warehouse(dsn) as conn:
        yield conn


def build(conn, storage: Path, *, window: Window = WINDOW, parameters: ChurnParameters = PARAMETERS):
    return build_training_set(conn, window=window, storage=storage, now=NOW, parameters=parameters)


def run_all(conn, registry: ModelRegistry, storage: Path, **choices):
    training_set = build(conn, storage, **choices)
    model = train(conn, registry, training_set_id=training_set.training_set_id, storage=storage, now=NOW)
    evaluation = evaluate(conn, registry, model_id=model.model_id, storage=storage, now=NOW)
    return training_set, evaluation, promote(conn, registry, model_id=model.model_id, now=NOW)


@dataclass(frozen=True)
class Trained:
    """A shop with a model that was trained, judged and promoted, for tests that change nothing of it."""

    shop: psycopg.Connection
    registry: ModelRegistry
    storage: Path
    training_set: TrainingSet
    evaluation: Evaluation
    promotion: Promotion


@pytest.fixture(scope="module")
def trained(postgres_server, template, tmp_path_factory) -> Iterator[Trained]:
    storage = tmp_path_factory.mktemp("trained")
    registry = sqlite_registry(storage / "registry")
    with own_database(postgres_server, "churn_trained", template=template) as dsn, connect_warehouse(dsn) as conn:
        yield Trained(conn, registry, storage, *run_all(conn, registry, storage))


def champion_id(registry: ModelRegistry) -> str | None:
    champion = registry.holder_of("churn")
    return champion.model_id if champion else None


def counts(conn) -> dict[str, int]:
    tables = (
        "training_sets", "models", "evaluations", "calibration_bins", "aliases", "alias_changes", "shop_weeks",
        "churn_backtests", "churn_reports",
    )  # fmt: skip
    return {name: conn.execute(f"SELECT count(*) FROM ml.{name}").fetchone()[0] for name in tables}


def rows_of(storage: Path, path: str) -> pd.DataFrame:
    return pyarrow.parquet.read_table(storage / path).to_pandas()


def test_rows_and_labels_equal_a_plain_look_at_the_orders(shop, tmp_path):
    training_set = build(shop, tmp_path)
    rows = rows_of(tmp_path, training_set.path)
    found = {(row.customer_id, row.at): row.is_churned for row in rows.itertuples()}
    paid: dict[int, list[datetime]] = {}
    for order in ORDERS:
        if order.customer_id is not None and order.paid_at is not None:
            paid.setdefault(order.customer_id, []).append(order.paid_at)
    expected = {
        (customer, pd.Timestamp(at)): not any(at <= instant < at + HORIZON for instant in instants)
        for at in {stamp.to_pydatetime() for stamp in rows["at"]}
        for customer, instants in paid.items()
        if any(at - DAY * 365 <= instant < at for instant in instants)
    }
    assert found == expected
    assert len(rows) == training_set.training_rows + training_set.test_rows == len(found)
    assert 0.1 < rows["is_churned"].mean() < 0.9


def test_edges_of_the_year_before_and_of_the_label_window(shop, tmp_path):
    """Inclusive at their starts, exclusive at their ends; at snapshots where a year of history exists."""
    at = END - HORIZON
    microsecond = timedelta(microseconds=1)
    edges = {  # customer: purchases, and whether it churned (None: it is not asked about)
        90_001: ([at - DAY * 365], True),
        90_002: ([at - DAY * 365 - microsecond], None),
        90_003: ([at - microsecond, at], False),
        90_004: ([at - DAY, at + HORIZON - microsecond], False),
        90_005: ([at - DAY, at + HORIZON], True),
        90_006: ([at], None),
    }
    orders = [
        Order(customer * 10 + number, customer, instant)
        for customer, (instants, _) in edges.items()
        for number, instant in enumerate(instants)
    ]
    load(shop, orders)
    shop.execute("DELETE FROM features.built_snapshots")
    shop.execute("TRUNCATE features.customer_rfm_v1, features.customer_activity_v1")
    shop.commit()
    build_features_at(shop, coverage_end=END)
    rows = rows_of(tmp_path, build(shop, tmp_path).path)
    found = {row.customer_id: row.is_churned for row in rows[rows["is_test"]].itertuples()}
    assert {customer: found.get(customer) for customer in edges} == {c: churned for c, (_, churned) in edges.items()}


def test_no_training_label_window_reaches_past_the_test_snapshot(shop, tmp_path):
    training_set = build(shop, tmp_path)
    rows = rows_of(tmp_path, training_set.path)
    assert training_set.test_at == END - HORIZON
    assert set(rows.loc[rows["is_test"], "at"]) == {pd.Timestamp(training_set.test_at)}
    training_at = rows.loc[~rows["is_test"], "at"]
    assert training_at.nunique() == training_set.training_snapshots == 6
    assert (training_at + HORIZON).max() == training_set.test_at


def test_features_are_those_of_the_snapshot_itself(shop, tmp_path):
    training_set = build(shop, tmp_path)
    rows = rows_of(tmp_path, training_set.path)
    rows = rows[rows["is_test"]].set_index("customer_id")
    past = Past(ORDERS, training_set.test_at)
    rfm, activity = past.rfm(), past.activity()
    assert len(rows) > 100
    for customer, row in rows.iterrows():
        assert row["frequency"] == rfm[customer]["frequency"]
        assert row["segment"] == rfm[customer]["segment"]
        assert row["recency_days"] == pytest.approx(rfm[customer]["recency_days"])
        assert row["tenure_days"] == pytest.approx(activity[customer]["tenure_days"])


def test_orders_after_the_end_of_the_run_change_nothing(shop, tmp_path):
    before = build(shop, tmp_path)
    load(shop, [Order(100_000 + n, n, END + DAY * (n % 3), Decimal(5)) for n in range(1, 200)])
    build_all(shop, Window(END, END + DAY))
    assert build(shop, tmp_path) == before


def test_what_became_known_later_does_not_reach_the_features(shop, tmp_path):
    """A late order corrects the history; the training set still holds what was known at the time."""
    known = rows_of(tmp_path, build(shop, tmp_path).path).set_index(["customer_id", "at"])
    snapshot = END - HORIZON
    customer = int(known[known["is_test"]].index[0][0])
    load(shop, [Order(100_000, customer, snapshot - DAY, Decimal(5000))])
    build_all(shop, Window(snapshot - DAY, snapshot), now=NOW + DAY)
    corrected = shop.execute(
        "SELECT max(monetary_amount) FROM features.customer_rfm WHERE customer_id = %s AND event_time = %s",
        (customer, snapshot),
    ).fetchone()[0]
    after = rows_of(tmp_path, build(shop, tmp_path).path).set_index(["customer_id", "at"])
    at = pd.Timestamp(snapshot)
    assert corrected >= 5000 > after.loc[(customer, at), "monetary_amount"]
    pd.testing.assert_frame_equal(after.loc[known.index].drop(columns="is_churned"), known.drop(columns="is_churned"))


def test_the_same_run_again_duplicates_nothing_and_gives_the_same_numbers(shop, registry, tmp_path):
    first = run_all(shop, registry, tmp_path)
    file = tmp_path / first[0].path
    content, before = file.read_bytes(), counts(shop)
    models = shop.execute("SELECT xmin::text, m::text FROM ml.models AS m").fetchall()
    again = run_all(shop, registry, tmp_path)
    assert again[0] == first[0]
    assert again[1].scores == first[1].scores
    print(
        first[2].reason,
        shop.execute(
            "SELECT candidate, snapshot_on, auc, log_loss, calibration_error, row_count FROM ml.churn_backtests"
        ).fetchall(),
    )
    assert (first[2].is_promoted, again[2].is_promoted, again[2].is_champion) == (True, False, True)
    assert counts(shop) == before
    assert shop.execute("SELECT xmin::text, m::text FROM ml.models AS m").fetchall() == models
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_training_anew_from_the_same_data_gives_the_same_probabilities(shop, registry, tmp_path):
    first = run_all(shop, registry, tmp_path)[1]
    shop.execute("TRUNCATE ml.training_sets CASCADE")
    shop.commit()
    again = run_all(shop, registry, tmp_path / "elsewhere")[1]
    assert again == replace(first)


def test_a_model_names_the_versions_of_views_that_its_training_set_was_built_from(shop, registry, tmp_path):
    training_set = build(shop, tmp_path)
    shop.execute("UPDATE ml.training_sets SET feature_versions = feature_versions || '{\"customer_rfm\": 9}'")
    trained = train(shop, registry, training_set_id=training_set.training_set_id, storage=tmp_path, now=NOW)
    kept = registry.find("churn", trained.model_id)
    wanted = registry.load("churn", kept.version).wanted
    assert "customer_rfm@9" in kept.tags["feature_views"] and "customer_activity@1" in kept.tags["feature_views"]
    assert {"customer_rfm@9:frequency", "customer_activity@1:order_count_90d"} <= set(wanted)


def test_every_stored_metric_is_what_the_artefact_gives_on_the_test_rows(trained):
    shop, registry, training_set_id = trained.shop, trained.registry, trained.training_set.training_set_id
    training, test = read_training_rows(shop, training_set_id=training_set_id, storage=trained.storage)
    outcomes = test["is_churned"].to_numpy()
    assert trained.evaluation.churn_rate == pytest.approx(outcomes.mean())
    stored = {
        (scorer, metric): value
        for scorer, metric, value in shop.execute("SELECT scorer, metric, value FROM ml.evaluations").fetchall()
    }
    assert {scorer for scorer, _ in stored} == {"model", *BASELINES}
    model = registry.load("churn", registry.find("churn", trained.promotion.model_id).version)
    fitted = {name: fit_baseline(name, LabelledRows(training), horizon_days=90) for name in BASELINES}
    for scorer, asked in ({"model": model} | fitted).items():
        probabilities = asked.probabilities(test)
        assert stored[scorer, "auc"] == pytest.approx(roc_auc_score(outcomes, probabilities))
        assert stored[scorer, "average_precision"] == pytest.approx(average_precision_score(outcomes, probabilities))
        assert stored[scorer, "brier"] == pytest.approx(brier_score_loss(outcomes, probabilities))
        bins = shop.execute(
            "SELECT sum(row_count), sum(row_count * mean_probability), sum(row_count * observed_rate) "
            "FROM ml.calibration_bins WHERE scorer = %s",
            (scorer,),
        ).fetchone()
        assert [float(value) for value in bins] == pytest.approx([len(test), probabilities.sum(), outcomes.sum()])


def test_baselines_rank_as_the_one_number_they_look_at(trained):
    scores, training_set_id = trained.evaluation.scores, trained.training_set.training_set_id
    rows = read_training_rows(trained.shop, training_set_id=training_set_id, storage=trained.storage)
    test = rows[1].to_pandas()
    outcomes = test["is_churned"].to_numpy(bool)
    total = (test["recency_score"] + test["frequency_score"] + test["monetary_score"]).to_numpy(float)
    assert scores["recency_only"]["auc"] == pytest.approx(roc_auc_score(outcomes, test["recency_days"]))
    assert scores["rfm_score"]["auc"] == pytest.approx(roc_auc_score(outcomes, -total))


def test_a_model_that_beats_its_baselines_becomes_champion_with_the_reason(trained):
    shop, evaluation, promotion = trained.shop, trained.evaluation, trained.promotion
    assert promotion.is_promoted
    assert champion_id(trained.registry) == promotion.model_id
    status, reason = shop.execute("SELECT status, status_reason FROM ml.models").fetchone()
    assert status == "champion"
    assert f"auc {evaluation.scores['model']['auc']:.4f} against" in reason
    assert shop.execute("SELECT model_id, previous_model_id, reason FROM ml.alias_changes").fetchall() == [
        (promotion.model_id, None, reason)
    ]


def test_a_model_no_better_than_a_baseline_is_refused_with_the_reason(shop, registry, tmp_path):
    training_set = build(shop, tmp_path)
    model = train(shop, registry, training_set_id=training_set.training_set_id, storage=tmp_path, now=NOW)
    kept = registry.find("churn", model.model_id)
    trained = registry.load("churn", kept.version)
    upside_down = replace(trained, weights=tuple(-weight for weight in trained.weights))
    worse = registry.register(
        "churn", upside_down, model_id="worse", parameters={}, metrics={}, tags=kept.tags, card="# worse"
    )
    shop.execute("UPDATE ml.models SET registry_version = %s", (worse.version,))
    shop.commit()
    evaluate(shop, registry, model_id=model.model_id, storage=tmp_path, now=NOW)
    promotion = promote(shop, registry, model_id=model.model_id, now=NOW)
    assert not promotion.is_promoted
    assert "does not pass" in promotion.reason
    assert "of rfm_score" in promotion.reason
    assert champion_id(registry) is None
    assert shop.execute("SELECT status, status_reason FROM ml.models").fetchone() == ("refused", promotion.reason)


def test_a_candidate_is_compared_with_the_champion_on_its_own_test_rows(shop, registry, tmp_path):
    _, _, first = run_all(shop, registry, tmp_path)
    # The same rows under other parameters: the candidate equals the champion, and equal is not better.
    _, evaluation, second = run_all(shop, registry, tmp_path, parameters=replace(PARAMETERS, least_rows=51))
    assert second.model_id != first.model_id
    assert evaluation.champion_id == first.model_id
    assert evaluation.scores["champion"] == evaluation.scores["model"]
    assert not second.is_promoted
    assert "of champion" in second.reason
    assert champion_id(registry) == first.model_id


def test_a_model_of_an_older_test_snapshot_never_takes_the_place(shop, registry, tmp_path):
    run_all(shop, registry, tmp_path)
    earlier = END - DAY * 28
    build_features_at(shop, coverage_end=earlier)
    _, _, older = run_all(shop, registry, tmp_path, window=Window(earlier - DAY, earlier))
    assert not older.is_promoted
    assert "older than that of the champion" in older.reason


def test_a_comparison_with_a_former_champion_is_not_used(shop, registry, tmp_path):
    ids = []
    for least_rows in (50, 51):
        training_set = build(shop, tmp_path, parameters=replace(PARAMETERS, least_rows=least_rows))
        model = train(shop, registry, training_set_id=training_set.training_set_id, storage=tmp_path, now=NOW)
        evaluate(shop, registry, model_id=model.model_id, storage=tmp_path, now=NOW)
        ids.append(model.model_id)
    assert promote(shop, registry, model_id=ids[0], now=NOW).is_promoted
    with pytest.raises(EvaluationOutOfDate, match="Run evaluate again"):
        promote(shop, registry, model_id=ids[1], now=NOW)
    assert champion_id(registry) == ids[0]


def test_a_shop_without_orders_is_told_what_a_model_needs(warehouse, tmp_path):
    with pytest.raises(NotEnoughData, match=r"no paid orders.*needs 240 days of orders"):
        build(warehouse, tmp_path)
    assert set(counts(warehouse).values()) == {0}


def test_a_short_past_is_told_what_a_model_needs(warehouse, tmp_path):
    load(warehouse, [Order(1, 1, END - DAY * 239)])
    with pytest.raises(NotEnoughData, match=r"needs 240 days.*first paid one is of 2023-06-11.*Load more days"):
        build(warehouse, tmp_path)


def test_one_outcome_only_is_not_enough(warehouse, tmp_path):
    """Everybody buys every 20 days: nobody churns."""
    orders = [
        Order(1000 * customer + number, customer, START + DAY * 20 * number + timedelta(minutes=customer))
        for customer in range(1, 61)
        for number in range(DAYS // 20 + 1)
    ]
    load(warehouse, orders)
    build_features_at(warehouse, coverage_end=END)
    with pytest.raises(
        NotEnoughData, match=r"training rows.*360 customers at snapshots with features, 0 of them churned"
    ):
        build(warehouse, tmp_path)
    assert set(counts(warehouse).values()) == {0}
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_whose_label_window_was_not_loaded_has_no_label(shop, tmp_path):
    """A week that nobody loaded looks as if nobody had bought; its customers must not count as churned."""
    lost = Window(END - DAY * 30, END - DAY * 23)
    shop.execute("DELETE FROM ops.receipts WHERE entity = 'orders'")
    for loaded in (Window(START - DAY, lost.start), Window(lost.end, END)):
        write_load_receipt(shop, "orders", oldest=START, window=loaded)
    shop.commit()
    build_features_at(shop, coverage_end=lost.start)
    training_set = build(shop, tmp_path)
    assert training_set.test_at == lost.start - HORIZON
    rows = rows_of(tmp_path, training_set.path)
    assert all(stamp.to_pydatetime() + HORIZON <= lost.start for stamp in rows["at"])


def test_windows_that_touch_are_one_stretch_and_the_future_is_not_loaded(shop):
    shop.execute("DELETE FROM ops.receipts WHERE entity = 'orders'")
    for first_day, last_day in ((0, 10), (10, 20), (15, 25), (40, 50), (60, 70)):
        window = Window(START + DAY * first_day, START + DAY * last_day)
        write_load_receipt(shop, "orders", oldest=START, window=window)
    stretches = loaded_stretches(shop, entity="orders", until=START + DAY * 45)
    expected = [Window(START, START + DAY * 25), Window(START + DAY * 40, START + DAY * 45)]
    assert stretches == expected


def test_snapshots_without_features_are_not_enough(shop, tmp_path):
    for name in FEATURE_VIEWS:
        shop.execute(f"DELETE FROM features.{name} WHERE event_time = %s", (END - HORIZON,))
    with pytest.raises(NotEnoughData, match=r"test rows.*: 0 customers at snapshots with features"):
        build(shop, tmp_path)


def test_a_lost_or_changed_training_set_is_noticed(shop, registry, tmp_path):
    training_set = build(shop, tmp_path)
    file = tmp_path / training_set.path
    rows = pyarrow.parquet.read_table(file)
    pyarrow.parquet.write_table(rows.slice(1), file)
    with pytest.raises(TrainingSetLost, match="is not what was written"):
        train(shop, registry, training_set_id=training_set.training_set_id, storage=tmp_path, now=NOW)
    file.write_bytes(b"PAR1 half a file")
    with pytest.raises(TrainingSetLost, match="cannot be read"):
        train(shop, registry, training_set_id=training_set.training_set_id, storage=tmp_path, now=NOW)
    file.unlink()
    with pytest.raises(TrainingSetLost, match="Run build_training_set"):
        train(shop, registry, training_set_id=training_set.training_set_id, storage=tmp_path, now=NOW)
    with pytest.raises(TrainingSetLost, match="There is no training set 'churn-none'"):
        train(shop, registry, training_set_id="churn-none", storage=tmp_path, now=NOW)


def test_unknown_models_are_named(shop, registry, tmp_path):
    with pytest.raises(ModelMissing, match=r"'churn-model-none'.*Run train"):
        evaluate(shop, registry, model_id="churn-model-none", storage=tmp_path, now=NOW)
    with pytest.raises(ModelMissing, match="Run evaluate first"):
        promote(shop, registry, model_id="churn-model-none", now=NOW)
