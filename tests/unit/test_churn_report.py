"""The report on a churn model: figures as their definitions say, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from include.models.churn.backtest import fit_chosen, run_backtest
from include.models.churn.baselines import BASELINES, fit_baseline
from include.models.churn.candidates import LabelledRows
from include.models.churn.evaluate import judged
from include.models.churn.page import page_of
from include.models.churn.report import Campaign, profit
from tests.unit.churn_rows import made_up_rows

ROWS = made_up_rows(seed=11, customers=300, snapshots=12)
TEST = ROWS.take(ROWS.days == ROWS.days.max())
TRAINING = ROWS.take(ROWS.days + 90 <= ROWS.days.max())


@pytest.fixture(scope="module")
def report():
    backtest = run_backtest(TRAINING, [], horizon_days=90, seed=0)
    model = fit_chosen(TRAINING, [], backtest, test_day=int(TEST.days[0]), horizon_days=90, seed=0)
    probabilities = {"model": model.probabilities(TEST.table)} | {
        name: fit_baseline(name, TRAINING, horizon_days=90).probabilities(TEST.table) for name in BASELINES
    }
    evaluation, found = judged(
        model, TRAINING, TEST, probabilities, model_id="churn-model-<1>", champion_id=None, campaign=Campaign(), seed=0
    )
    found |= {"test_at": "2023-10-14T00:00:00+00:00", "parameters": {"horizon_days": 90}}
    found["backtest"] = [asdict(each) | {"snapshot_on": each.snapshot_on.isoformat()} for each in backtest.figures]
    return evaluation, json.loads(json.dumps(found))


def test_every_figure_has_an_interval_that_holds_it_and_stands_beside_each_baseline(report):
    evaluation, found = report
    assert set(evaluation.scores) == {"model", *BASELINES}
    for scorer, metrics in evaluation.scores.items():
        for metric, value in metrics.items():
            low, high = evaluation.intervals[scorer][metric]
            if metric != "expected_calibration_error":  # drawn anew it is larger: chance adds to it
                assert low <= value <= high, (scorer, metric)
    assert set(evaluation.differences) == set(BASELINES)
    assert found["canaries"] == []


def test_what_a_model_looks_at_comes_first(report):
    _, found = report
    falls = [each["auc_fall"] for each in found["importance"]]
    assert falls == sorted(falls, reverse=True)
    named = [each["feature"] for each in found["importance"]]
    assert named.index("recency_days_now") < named.index("average_order_amount")


def test_profit_is_the_sum_over_letters_written():
    outcomes = np.array([True, False, True, False])
    probabilities = np.array([0.9, 0.6, 0.3, 0.1])
    found = profit(outcomes, probabilities, Campaign(offer_cost=1, customer_value=10, saved_share=0.2))
    assert found["pays_above_probability"] == 0.5  # 2 * p > 1
    assert found["written_to_share"] == 0.5
    assert found["foretold_there_per_1000"] == pytest.approx(250 * (2 * 1.5 - 2))
    assert found["came_there_per_1000"] == pytest.approx(250 * (2 * 1 - 2))
    assert found["everyone_per_1000"] == pytest.approx(250 * (2 * 2 - 4))
    assert found["best_possible_per_1000"] == pytest.approx(250 * 1)


def test_training_rows_end_before_the_test_and_the_backtest_sees_no_later_label():
    """Labels of windows that end after an origin are turned round; what is said at the origin stays the same."""
    origin = sorted(set(TRAINING.days.tolist()))[-1]
    later = TRAINING.days + 90 > origin
    turned = TRAINING.outcomes.copy()
    turned[later & (TRAINING.days < origin)] ^= True
    place = TRAINING.table.schema.get_field_index("is_churned")

    other = LabelledRows(TRAINING.table.set_column(place, "is_churned", pa.array(turned)))
    first, second = (run_backtest(rows, [], horizon_days=90, seed=0, most_origins=1) for rows in (TRAINING, other))
    assert first.chosen in first.log_loss
    for name in first.origins:
        assert first.origins[name][0].log_odds.tobytes() == second.origins[name][0].log_odds.tobytes()
    assert (TRAINING.days + 90).max() <= TEST.days.min()


class _Loads(HTMLParser):
    """What a page would fetch, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.fetched += [value for name, value in attrs if name in ("src", "href", "data")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_else_and_shows_what_the_report_says(report):
    evaluation, found = report
    page = page_of(found)
    parser = _Loads()
    parser.feed(page)
    assert parser.fetched == []
    assert parser.open == []
    assert not re.search(r"url\(|@import|http", page)
    assert "churn-model-&lt;1&gt;" in page
    for metrics in evaluation.scores.values():
        for value in metrics.values():
            assert f"{value:.4f}" in page
    assert page.count("<svg") == 4


def test_alarms_stand_on_the_page(report):
    _, found = report
    page = page_of(found | {"canaries": ["refund & <b> alone tells"]})
    assert "refund &amp; &lt;b&gt; alone tells" in page
