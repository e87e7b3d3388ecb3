"""The churn model as it is asked: the same bits whoever else is asked about, and reasons that are what they say."""

from __future__ import annotations

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.models.churn.candidates import CANDIDATES, fit_candidate, fit_candidates
from include.models.churn.columns import MissingInput
from include.models.churn.model import Calibration
from include.models.churn.parts import TreesPart
from include.models.churn.words import Words
from tests.properties import examples
from tests.unit.churn_rows import made_up_rows

ROWS = made_up_rows(seed=1, customers=250)
TABLE = ROWS.table
FITTED = fit_candidates(CANDIDATES, ROWS, horizon_days=90, seed=0)
MODELS = {name: model.with_deciles(TABLE) for name, model in FITTED.items()}
SEASON = Calibration(0.9, 0.1, tuple(1 + 0.3 * math.sin(day / 58) for day in range(366)))
MODEL = replace(MODELS["blend"], calibration=SEASON)
BATCHES = {name: replace(model, calibration=SEASON).score(TABLE) for name, model in MODELS.items()}


@pytest.mark.parametrize("name", CANDIDATES)
@examples(25)
@given(places=st.lists(st.integers(0, len(TABLE) - 1), min_size=1, max_size=40))
def test_any_choice_of_rows_gets_the_bits_of_the_batch(name, places):
    model = replace(MODELS[name], calibration=SEASON)
    together = BATCHES[name]
    chosen = model.score(TABLE.take(places))
    assert chosen.probability.tobytes() == together.probability[places].tobytes()
    assert chosen.decile.tolist() == together.decile[places].tolist()
    assert chosen.reasons == [together.reasons[place] for place in places]
    alone = model.score(TABLE.slice(places[0], 1))
    assert alone.probability.tobytes() == together.probability[places[:1]].tobytes()
    assert alone.reasons == [together.reasons[places[0]]]
    assert model.probabilities(TABLE.take(places)).tobytes() == chosen.probability.tobytes()


def test_tables_in_chunks_and_models_unpickled_give_the_same_bits():
    together = BATCHES["blend"]
    in_chunks = pa.concat_tables([TABLE.slice(start, 77) for start in range(0, len(TABLE), 77)])
    again = pickle.loads(pickle.dumps(MODEL)).score(in_chunks)
    assert again.probability.tobytes() == together.probability.tobytes()
    assert again.reasons == together.reasons


def test_trees_walked_in_numpy_end_in_the_leaves_that_scikit_learn_finds():
    trees = next(part for part in MODEL.parts if isinstance(part, TreesPart))
    seen = MODEL.seen(MODEL.columns.matrix(TABLE))
    assert np.isnan(seen).any()
    assert len(seen) > 1000
    plain = trees.booster.decision_function(seen)
    walked = np.concatenate([trees.log_odds(seen[start : start + 50]) for start in range(0, len(seen), 50)])
    assert walked.tobytes() == plain.tobytes()


def test_the_logistic_part_is_that_of_plain_arithmetic():
    model = MODELS["logistic"]
    matrix = model.columns.matrix(TABLE.slice(0, 20))
    seen, (part,) = model.seen(matrix), model.parts
    for row, probability in zip(seen.tolist(), model.probabilities_of(matrix), strict=True):
        total = part.intercept
        for place, value in enumerate(row):
            known = part.fill[place] if math.isnan(value) else value
            term = math.copysign(math.log1p(abs(known)), known)
            total += part.weights[place] * (term - part.mean[place]) / part.deviation[place]
        total += sum(part.weights[len(row) + place] for place, value in enumerate(row) if math.isnan(value))
        assert probability == pytest.approx(1 / (1 + math.exp(-total)), rel=1e-9)


def test_a_busier_season_makes_the_wait_without_a_purchase_as_much_less_likely_as_waiting_longer_would():
    calm = replace(MODEL, calibration=Calibration())
    busy = replace(MODEL, calibration=Calibration(exposures=(2.0,) * 366))
    assert busy.probabilities(TABLE) == pytest.approx(calm.probabilities(TABLE) ** 2, rel=1e-9)


def test_a_reason_is_the_change_of_the_log_odds_when_its_group_is_replaced():
    scores = MODEL.score(TABLE.slice(0, 30), reasons=3)
    for place, reasons in enumerate(scores.reasons):
        matrix = MODEL.columns.matrix(TABLE.slice(place, 1))
        own = math.log(scores.probability[place] / (1 - scores.probability[place]))
        effects = {}
        for group in MODEL.groups:
            other = matrix.copy()
            other[0, list(group.places)] = [MODEL.reference[each] for each in group.places]
            (probability,) = MODEL.probabilities_of(other)
            effects[group.name] = own - math.log(probability / (1 - probability))
        strongest = sorted(effects, key=lambda name: -abs(effects[name]))[: len(reasons)]
        assert len(reasons) == 3
        for reason, name in zip(reasons, strongest, strict=True):
            assert reason.effect == pytest.approx(effects[name], abs=1e-9)
        for before, after in itertools.pairwise(reasons):
            assert abs(before.effect) >= abs(after.effect)


def test_who_is_like_the_reference_has_no_reasons():
    values = {name: [MODEL.value_of(name, number)] for name, number in zip(MODEL.inputs, MODEL.reference, strict=True)}
    assert MODEL.score(pa.table(values)).reasons == [()]


def test_a_long_silence_is_told_in_words():
    fields = {name: TABLE[name].to_pylist()[0] for name in MODEL.inputs}
    fields |= {"recency_days_now": 143.0, "lifetime_age_days": 150, "tenure_days": 150.0, "frequency": 9}
    fields |= {"repeat_purchase_days": 8, "recency_over_typical_gap": 60.0}
    row = pa.Table.from_pylist([fields], schema=TABLE.select(MODEL.inputs).schema)
    reasons = MODEL.score(row).reasons[0]
    (text,) = [reason.text for reason in reasons if reason.feature == "recency_days_now"]
    assert text.startswith("last purchase 143 days ago; typical is ")


@pytest.mark.parametrize(
    ("words", "value", "text"),
    [
        (Words("time since the last purchase", "days", 30.0), 143.0, "last purchase 143 days ago; typical is 30"),
        (Words("time since the last purchase", "days", 30.4), 1.0, "last purchase 1 day ago; typical is 30.4"),
        (Words("time since the last event of any kind", "days", 3.0), None,
         "no last event of any kind is known; typical is 3"),
        (Words("paid orders ever", "orders", 5.0), 2.0, "paid orders ever: 2 orders; typical is 5"),
        (Words("paid ever", "currency of the shop", 310.25), 1234.5, "paid ever: 1,234; typical is 310"),
        (Words("share of orders", "share, 0 to 1", 0.0), 0.256, "share of orders: 26 %; typical is 0 %"),
        (Words("category", "name", "tea"), "cups", "category: cups; typical is tea"),
        (Words("mean gap", "days", None), None, "mean gap: unknown; typical is unknown"),
    ],
)  # fmt: skip
def test_words_name_value_and_what_is_typical(words, value, text):
    assert words.say(value) == text


def test_a_text_that_training_never_saw_is_unknown():
    place = TABLE.schema.get_field_index("favourite_category_365d")
    odd = TABLE.set_column(place, "favourite_category_365d", pa.array(["never seen"] * len(TABLE)))
    none = TABLE.set_column(place, "favourite_category_365d", pa.nulls(len(TABLE), pa.string()))
    assert MODEL.probabilities(odd).tobytes() == MODEL.probabilities(none).tobytes()


def test_a_missing_column_is_named():
    with pytest.raises(MissingInput, match="no column 'frequency'"):
        MODEL.probabilities(TABLE.drop_columns(["frequency"]))


def test_no_rows_get_no_scores():
    scores = MODEL.score(TABLE.slice(0, 0))
    assert (len(scores.probability), len(scores.decile), scores.reasons) == (0, 0, [])


def test_deciles_are_tenths_of_the_training_scores():
    model = MODELS["blend"]
    counts = np.bincount(model.score(TABLE, reasons=0).decile, minlength=11)[1:]
    assert counts.sum() == len(TABLE)
    assert counts.min() > len(TABLE) * 0.08
    worst = model.probabilities(TABLE).argmax()
    assert model.score(TABLE.slice(worst, 1)).decile.tolist() == [10]


def test_views_without_any_data_leave_a_model_that_works():
    for view in ("event_count_30d", "session_count_90d", "days_since_last_visit"):
        assert view not in MODEL.inputs
    assert "customer_rfm@1:frequency" in MODEL.wanted
    assert "recency_days_now" in MODEL.wanted
    versioned = fit_candidate("logistic", ROWS, horizon_days=90, seed=0, versions={"customer_rfm": 3})
    assert "customer_rfm@3:frequency" in versioned.wanted
