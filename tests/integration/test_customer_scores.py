"""Scores of a shop's customers: streamed, written once, with the bits of real time; and how they are monitored."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from include.entities.window import Window
from include.features.building.daily import publish_checked
from include.features.history.historical import get_historical_features
from include.features.online.reads import OnlineFeatures
from include.features.registry import FEATURE_VIEWS
from include.models.lifetime.scores import score_lifetime
from include.models.registry.model_registry import ModelRegistry
from include.models.scores.champion import NoChampion, load_champion
from include.models.scores.monitor import Thresholds, monitor_scores
from include.models.scores.reality import matured_runs
from include.models.scores.references import SCORE, NoReference
from include.models.scores.score import score_customers
from include.warehouse.connection import connect_warehouse
from tests.integration.feature_shop import DAY, NOW, build_all
from tests.integration.scored_shop import HORIZON, MODEL_ID, ORDERS, SNAPSHOT, crown, fill, fit_values
from tests.own_database import own_database


@pytest.fixture(scope="module")
def made(postgres_server, tmp_path_factory):
    """(database, storage, registry, champion): filled once, copied for each test."""
    storage = tmp_path_factory.mktemp("scored")
    registry = ModelRegistry(f"sqlite:///{storage / 'mlflow.db'}", (storage / "artefacts").as_uri())
    with own_database(postgres_server, "scored_template") as dsn:
        with connect_warehouse(dsn) as conn:
            champion = crown(conn, registry, fill(conn, storage), storage)
            fit_values(conn)
        yield "scored_template", storage, registry, champion


@pytest.fixture
def shop(postgres_server, made):
    with own_database(postgres_server, "scored_shop", template=made[0]) as dsn, connect_warehouse(dsn) as conn:
        yield conn


@pytest.fixture
def champion(made):
    return made[3]


@pytest.fixture
def storage(made):
    return made[1]


def scores(conn, snapshot_at=SNAPSHOT, model_id=MODEL_ID) -> dict[int, tuple]:
    rows = conn.execute(
        """
        SELECT customer_id, churn_probability, churn_decile, reasons, value_amount, value_low_amount, value_high_amount
        FROM ml.customer_scores WHERE snapshot_at = %s AND model_id = %s
        """,
        (snapshot_at, model_id),
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def everybody() -> list[int]:
    return sorted({order.customer_id for order in ORDERS if order.paid_at < SNAPSHOT})


def test_scores_are_those_of_the_model_over_the_joined_features_and_values_those_of_lifetime_value(shop, champion):
    receipt = score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    spine = pa.table({"customer_id": everybody(), "event_timestamp": pa.array([SNAPSHOT] * len(everybody()))})
    rows = get_historical_features(shop, spine, list(champion.model.wanted)).to_arrow()
    expected = champion.model.score(rows)
    found = scores(shop)
    assert sorted(found) == everybody()
    assert receipt.inserted == receipt.received == len(found) > 300
    score_lifetime(shop, snapshot_at=SNAPSHOT, now=NOW)
    worth = dict(shop.execute("SELECT customer_id, value_amount FROM ml.lifetime_values").fetchall())
    for place, customer in enumerate(everybody()):
        probability, decile, reasons, value, low, high = found[customer]
        assert probability == expected.probability[place]
        assert decile == expected.decile[place]
        assert [(each["feature"], each["effect"], each["text"]) for each in reasons] == [
            (each.feature, each.effect, each.text) for each in expected.reasons[place]
        ]
        assert value == worth[customer]
        assert low <= value <= high


def test_a_score_in_real_time_at_the_same_instant_has_the_same_bits(shop, champion, postgres_server):
    publish_checked(shop, FEATURE_VIEWS.values(), window=Window(SNAPSHOT - DAY, SNAPSHOT), now=NOW)
    shop.commit()
    score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    found = scores(shop)
    asked = everybody()
    with OnlineFeatures(postgres_server.dsn("scored_shop")) as store:
        online = store.get_online_features(
            list(champion.model.wanted), [{"customer_id": customer} for customer in asked], at=SNAPSHOT
        ).to_arrow()
    real_time = champion.model.probabilities(online)
    assert [found[customer][0] for customer in asked] == real_time.tolist()


def test_batches_of_any_size_give_the_same_rows(shop, champion):
    score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    whole = scores(shop)
    shop.execute("TRUNCATE ml.customer_scores")
    score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW, batch_rows=13)
    assert scores(shop) == whole


def test_scoring_again_writes_nothing_twice_and_another_model_stands_beside_the_first(shop, champion, made, storage):
    score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    shop.commit()
    before = shop.execute("SELECT ctid, xmin, t FROM ml.customer_scores AS t ORDER BY 1").fetchall()
    again = score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW + DAY)
    assert (again.inserted, again.updated, again.unchanged) == (0, 0, len(before))
    assert shop.execute("SELECT ctid, xmin, t FROM ml.customer_scores AS t ORDER BY 1").fetchall() == before
    training_set_id = shop.execute("SELECT training_set_id FROM ml.models").fetchone()[0]
    registry = ModelRegistry(f"sqlite:///{storage / 'other.db'}", (storage / "others").as_uri())
    other = crown(shop, registry, training_set_id, storage, model_id="churn-model-other")
    receipt = score_customers(shop, other, snapshot_at=SNAPSHOT, now=NOW)
    assert receipt.inserted == len(before)
    assert len(scores(shop)) == len(scores(shop, model_id="churn-model-other")) == len(before)
    assert shop.execute("SELECT count(*) FROM ml.score_runs").fetchone() == (2,)


def test_a_crash_on_the_way_leaves_nothing(shop, champion):
    class Crashing:
        wanted, inputs, horizon_days = champion.model.wanted, champion.model.inputs, champion.model.horizon_days
        calls = 0

        def score(self, rows):
            self.calls += 1
            if self.calls == 3:
                raise ConnectionError("killed")
            return champion.model.score(rows)

    with pytest.raises(ConnectionError):
        score_customers(shop, replace(champion, model=Crashing()), snapshot_at=SNAPSHOT, now=NOW, batch_rows=100)
    assert scores(shop) == {}
    assert shop.execute("SELECT count(*) FROM ops.receipts WHERE step = 'score'").fetchone() == (0,)


def test_without_a_fit_of_lifetime_value_scores_have_no_value(shop, champion, caplog):
    shop.execute("TRUNCATE ml.lifetime_models CASCADE")
    with caplog.at_level(logging.WARNING):
        score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    assert {row[3:] for row in scores(shop).values()} == {(None, None, None)}
    assert "score_customers without values" in caplog.text


def test_features_beyond_their_ttl_are_not_scored(shop, champion):
    late = SNAPSHOT + DAY * 400
    assert score_customers(shop, champion, snapshot_at=late, now=NOW).received == 0
    assert shop.execute("SELECT count(*) FROM ml.score_runs").fetchone() == (0,)


def test_without_a_champion_it_says_so(tmp_path):
    registry = ModelRegistry(f"sqlite:///{tmp_path / 'empty.db'}", (tmp_path / "artefacts").as_uri())
    with pytest.raises(NoChampion, match="Run the DAG churn_model"):
        load_champion(registry)
    kept = registry.register("churn", {"model": 1}, model_id="old", parameters={}, metrics={}, tags={}, card="")
    registry.set_alias("churn", kept.version, reason="of tests")
    with pytest.raises(NoChampion, match="is a dict of an earlier kind"):
        load_champion(registry)


def measured(conn, metric: str) -> dict[str, tuple]:
    rows = conn.execute(
        "SELECT subject, value, reference, is_alert, row_count FROM ml.monitoring WHERE metric = %s", (metric,)
    ).fetchall()
    return {row[0]: row[1:] for row in rows}


def test_a_drift_below_the_thresholds_does_not_alert_and_one_beyond_them_does(shop, champion, storage):
    calm = Thresholds(psi=10.0, null_share=1.0)
    assert monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW, storage=storage, thresholds=calm) == []
    psi = measured(shop, "psi")
    assert set(psi) == {*(name for name in champion.model.inputs if name != "request_day_of_year"), SCORE}
    assert all(rows == psi[SCORE][3] for *_, rows in psi.values())
    shop.execute("UPDATE features.customer_activity_v1 SET order_count_90d = 5 WHERE event_time = %s", (SNAPSHOT,))
    alerts = monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW, storage=storage, thresholds=calm)
    assert alerts == []
    alerts = monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW, storage=storage)
    assert ("order_count_90d", "psi") in {(each.subject, each.metric) for each in alerts}
    assert measured(shop, "psi")["order_count_90d"][2] is True


def test_nulls_that_training_did_not_have_alert(shop, champion, storage, caplog):
    shop.execute("UPDATE features.customer_rfm_v1 SET frequency = NULL WHERE event_time = %s", (SNAPSHOT,))
    with caplog.at_level(logging.WARNING):
        alerts = monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW, storage=storage)
    assert ("frequency", "null_share") in {(each.subject, each.metric) for each in alerts}
    assert measured(shop, "null_share")["frequency"][:2] == (1.0, 0.0)
    assert "monitor_scores alert" in caplog.text and "subject=frequency metric=null_share value=1.0000" in caplog.text


def test_few_customers_do_not_alert(shop, champion, storage):
    shop.execute("UPDATE features.customer_rfm_v1 SET frequency = NULL WHERE event_time = %s", (SNAPSHOT,))
    few = Thresholds(least_rows=10_000)
    assert monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW, storage=storage, thresholds=few) == []


def test_monitoring_again_changes_nothing_and_needs_the_training_rows_only_once(shop, champion, storage, tmp_path):
    monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW, storage=storage)
    shop.commit()
    before = shop.execute("SELECT ctid, xmin, t FROM ml.monitoring AS t ORDER BY 1").fetchall()
    monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW + DAY, storage=tmp_path, batch_rows=17)
    assert shop.execute("SELECT ctid, xmin, t FROM ml.monitoring AS t ORDER BY 1").fetchall() == before


def test_a_champion_of_an_unknown_training_set_cannot_be_compared(shop, champion, storage):
    shop.execute("DELETE FROM ml.models")
    with pytest.raises(NoReference, match=r"ml\.models does not know"):
        monitor_scores(shop, champion, snapshot_at=SNAPSHOT, now=NOW, storage=storage)


def test_matured_scores_are_judged_by_what_came(shop, champion, storage):
    score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    end = SNAPSHOT + HORIZON
    assert matured_runs(shop, until=end - timedelta(microseconds=1)) == []
    (matured,) = matured_runs(shop, until=end)
    found, outcomes, probabilities = scores(shop), [], []
    for customer in everybody():
        paid = [order.paid_at for order in ORDERS if order.customer_id == customer]
        if any(SNAPSHOT - DAY * 365 <= instant < SNAPSHOT for instant in paid):
            outcomes.append(not any(SNAPSHOT <= instant < end for instant in paid))
            probabilities.append(found[customer][0])
    assert matured.rows == len(outcomes) > 200
    assert matured.metrics["auc"] == pytest.approx(roc_auc_score(outcomes, probabilities))
    assert matured.metrics["brier"] == pytest.approx(brier_score_loss(outcomes, probabilities))
    assert matured.metrics["churn_rate"] == pytest.approx(np.mean(outcomes))
    assert matured.metrics["mean_probability"] == pytest.approx(np.mean(probabilities))


def test_outcomes_over_days_that_were_never_loaded_are_unknown(shop, champion):
    score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    shop.execute(
        "UPDATE ops.receipts SET window_end = %s WHERE step = 'upsert' AND entity = 'orders'", (SNAPSHOT + DAY * 30,)
    )
    assert matured_runs(shop, until=SNAPSHOT + DAY * 100) == []


def test_reality_is_measured_once_and_alerts_when_it_is_worse_than_the_test_rows_promised(shop, champion, storage):
    score_customers(shop, champion, snapshot_at=SNAPSHOT, now=NOW)
    shop.execute("INSERT INTO ml.evaluations VALUES (%s, 'model', 'auc', 0.999)", (MODEL_ID,))
    later = SNAPSHOT + HORIZON
    build_all(shop, Window(later - DAY, later))
    alerts = monitor_scores(shop, champion, snapshot_at=later, now=NOW, storage=storage)
    of_reality = {each.metric: each for each in alerts if each.subject == "reality"}
    assert of_reality["auc"].reference == 0.999
    assert of_reality["auc"].snapshot_at == SNAPSHOT
    assert matured_runs(shop, until=later) == []
