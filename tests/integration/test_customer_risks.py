"""Who is about to leave, and what is known of one customer, as the pages show it: beside sums in plain Python."""

from __future__ import annotations

from collections import defaultdict

import pytest

from include.features.views.customer_activity import CUSTOMER_ACTIVITY
from include.features.views.customer_rfm import CUSTOMER_RFM
from include.models import customer_record as record
from include.models.scores.risks import customers_at_risk, newest_run, risk_bins, risk_value_cells, segment_risks
from include.models.standing import (
    backtests_of,
    champion_changes,
    churn_report,
    churn_versions,
    drift_of,
    judged_scorers,
    recommendation_runs,
)
from include.warehouse.connection import connect_warehouse
from tests.integration.judged_shop import (
    BEFORE,
    CANDIDATE,
    CHAMPION,
    EVERYBODY,
    HORIZON_DAYS,
    OWN,
    REFUND,
    SCORERS,
    SNAPSHOT,
    SOMEBODY,
    WITHOUT_SCORE,
    fill,
)
from tests.own_database import own_database


@pytest.fixture(scope="module")
def shop(postgres_server):
    """Read by all tests, written by none."""
    with own_database(postgres_server, "risks_shop") as dsn, connect_warehouse(dsn) as conn:
        fill(conn)
        yield conn


@pytest.fixture(scope="module")
def run(shop):
    found = newest_run(shop)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def everyone(shop, run):
    return list(customers_at_risk(shop, run, limit=10**6))


def test_the_newest_run_names_its_model_and_snapshot(run):
    assert (run.model_id, run.snapshot_at, run.horizon_days) == (CHAMPION, SNAPSHOT, HORIZON_DAYS)
    assert run.customer_count == len(EVERYBODY)


def test_the_list_has_everybody_once_with_most_to_lose_first(everyone):
    assert sorted(each.customer_id for each in everyone) == EVERYBODY
    weighed = [each.weighed_amount for each in everyone]
    assert weighed == sorted(weighed, reverse=True)
    assert all(each.weighed_amount == each.value_amount * each.churn_probability for each in everyone)
    assert all(each.reason for each in everyone)


def test_bins_and_cells_count_everybody(shop, run, everyone):
    bins = risk_bins(shop, run)
    assert len(bins) == 20
    for own in bins:
        inside = [each for each in everyone if own.low <= each.churn_probability < own.high]
        assert own.customer_count == len(inside)
    cells = risk_value_cells(shop, run)
    assert sum(cell.customer_count for cell in cells) == len(everyone)
    for cell in cells:
        inside = [
            each
            for each in everyone
            if cell.risk_low <= each.churn_probability < cell.risk_high
            and cell.value_low * (1 - 1e-12) <= each.value_amount < cell.value_high * (1 - 1e-12)
        ]
        assert cell.customer_count == len(inside)
        assert cell.value_amount == pytest.approx(sum(each.value_amount for each in inside))


def test_segments_add_up_their_customers(shop, run, everyone):
    told = {each.segment: each for each in segment_risks(shop, run)}
    inside = defaultdict(list)
    for each in everyone:
        inside[each.segment].append(each)
    assert told.keys() == inside.keys() and len(told) > 2 and "unknown" not in told
    for segment, own in inside.items():
        assert told[segment].customer_count == len(own)
        assert told[segment].leaving_count == pytest.approx(sum(each.churn_probability for each in own))
        assert told[segment].most_likely_count == sum(each.churn_decile >= 9 for each in own)
        assert told[segment].value_amount == pytest.approx(sum(each.value_amount for each in own))
        assert told[segment].weighed_amount == pytest.approx(sum(each.weighed_amount for each in own))


def test_a_list_keeps_to_segment_decile_and_limit(shop, run, everyone):
    segment = everyone[0].segment
    wanted = [each for each in everyone if each.segment == segment and each.churn_decile >= 8]
    found = list(customers_at_risk(shop, run, segment=segment, least_decile=8, limit=5))
    assert found == wanted[:5]
    assert not list(customers_at_risk(shop, run, segment="nobody", limit=5))


def test_a_customer_s_record_is_their_orders_less_refunds(shop):
    found = record.customer_summary(shop, SOMEBODY)
    assert found is not None
    assert found.order_count == len(OWN)
    assert (found.first_paid_at, found.last_paid_at) == (OWN[0].paid_at, OWN[-1].paid_at)
    assert found.paid_amounts == {"GBP": sum(order.amount for order in OWN) - REFUND}
    orders = record.customer_orders(shop, SOMEBODY, limit=100)
    assert [each.order_id for each in orders] == [order.order_id for order in OWN[::-1]]
    assert [each.unit_count for each in orders] == [1] * len(OWN)
    assert [each.refund_amount for each in orders] == [0] * (len(OWN) - 1) + [REFUND]
    assert record.customer_orders(shop, SOMEBODY, limit=1) == orders[:1]


def test_nobody_has_no_record(shop):
    assert record.customer_summary(shop, 10**9) is None


def test_a_customer_s_features_are_their_rows_of_history(shop):
    found = record.customer_features(shop, CUSTOMER_RFM, SOMEBODY, limit=1000)
    frequency = CUSTOMER_RFM.feature_names.index("frequency")
    assert found.rows
    assert [values[frequency] for _, values in found.rows] == [
        sum(order.paid_at < at for order in OWN) for at, _ in found.rows
    ]
    assert [at for at, _ in found.rows] == sorted(at for at, _ in found.rows)


def test_a_view_that_was_never_built_has_no_rows_of_a_customer(shop):
    assert not record.customer_features(shop, CUSTOMER_ACTIVITY, SOMEBODY, limit=10).rows


def test_a_customer_s_scores_end_with_those_of_the_list(shop, everyone):
    older, score = record.customer_scores(shop, SOMEBODY, limit=10)
    assert (older.snapshot_at, score.snapshot_at) == (BEFORE, SNAPSHOT)
    (listed,) = [each for each in everyone if each.customer_id == SOMEBODY]
    assert score.churn_probability == listed.churn_probability
    assert score.reasons[0]["text"] == listed.reason
    assert score.horizon_days == HORIZON_DAYS
    assert record.customer_scores(shop, SOMEBODY, limit=1) == [score]


def test_a_customer_may_have_orders_and_no_score(shop):
    found = record.customer_summary(shop, WITHOUT_SCORE)
    assert found is not None and found.order_count == 1
    assert not record.customer_scores(shop, WITHOUT_SCORE, limit=10)


def test_models_stand_as_the_warehouse_has_them(shop):
    champion, candidate = churn_versions(shop)
    assert (champion.model_id, champion.status, champion.registry_version) == (CHAMPION, "champion", "1")
    assert (candidate.model_id, candidate.status) == (CANDIDATE, "refused")
    assert champion.metrics["auc"] == SCORERS["model"]
    (change,) = champion_changes(shop)
    assert (change.model_id, change.previous_model_id, change.reason) == (CHAMPION, None, "it beats all")
    assert [each.candidate for each in backtests_of(shop, CHAMPION)] == ["logistic"]


def test_metrics_over_time_stand_beside_those_of_the_rivals(shop):
    found = judged_scorers(shop, ["auc"])
    assert [each.model_id for each in found] == [CHAMPION] * 4 + [CANDIDATE] * 4
    assert {each.scorer: each.value for each in found if each.model_id == CHAMPION} == SCORERS
    assert {each.model_id for each in judged_scorers(shop, ["auc"], limit=1)} == {CANDIDATE}


def test_drift_is_of_the_newest_snapshots(shop):
    assert {each.snapshot_at for each in drift_of(shop)} == {BEFORE, SNAPSHOT}
    newest = drift_of(shop, snapshots=1)
    assert {each.snapshot_at for each in newest} == {SNAPSHOT}
    assert [(each.subject, each.value) for each in newest if each.is_alert] == [("frequency", 0.4)]


def test_reports_and_recommendations_are_read_as_they_were_kept(shop):
    report = churn_report(shop, CHAMPION)
    assert report is not None and len(report["reliability"]["model"]) == 10
    assert churn_report(shop, "nobody") is None
    (run,) = recommendation_runs(shop)
    assert run.hits == {"blend": [0.4, 0.25, 0.45], "popularity": [0.3, 0.25, 0.45]}


def test_without_scores_there_is_no_run(warehouse):
    assert newest_run(warehouse) is None
    assert not churn_versions(warehouse)
    assert not drift_of(warehouse)
