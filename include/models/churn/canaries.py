"""Canaries: figures that are too good to be true, or cannot be true, and so tell of a leak.

Each gives alarms in words, none on honest data. They look at a sample of customers, so that they take seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from include.models.churn.backtest import origins_of
from include.models.churn.candidates import BOOSTING, LabelledRows, columns_of, fit_candidate
from include.models.churn.columns import Vector
from include.models.metrics import auc

MOST_ROWS = 20_000
LARGEST_AUC_ALONE = 0.95
"""A single feature that tells so well who will leave has most likely seen it."""
LARGEST_GAP = 0.08
"""How much better a random split may look than one by time. Customers resemble themselves, and later ones do not
resemble earlier ones, so some difference is honest."""
LARGEST_SHUFFLED = 0.05
"""How far from 0.5 the AUC of shuffled labels may be, beside chance."""

Scorer = Callable[[pa.Table], Vector]
Fit = Callable[[LabelledRows], Scorer]


def look_for_leaks(training: LabelledRows, test: LabelledRows, *, horizon_days: int, seed: int) -> list[str]:
    """What all canaries say of a training set and its test rows."""
    training, test = training.sample(MOST_ROWS, seed=seed), test.sample(MOST_ROWS, seed=seed)

    def fit(rows: LabelledRows) -> Scorer:
        return fit_candidate(BOOSTING, rows, horizon_days=horizon_days, seed=seed).probabilities

    return [
        *features_that_tell_all(training),
        *shuffled_labels_that_score(training, test, fit, seed=seed),
        *random_splits_that_flatter(training, fit, horizon_days=horizon_days, seed=seed),
    ]


def features_that_tell_all(rows: LabelledRows) -> list[str]:
    """Features that alone, by their value or by being known, tell who churned."""
    columns = columns_of(rows)
    alarms = []
    for name, values in zip(columns.names, columns.matrix(rows.table).T, strict=True):
        is_unknown = np.isnan(values)
        found = [auc(rows.outcomes[~is_unknown], values[~is_unknown]), auc(rows.outcomes, is_unknown.astype(float))]
        best = max((max(each, 1 - each) for each in found if each == each), default=0.5)
        if best > LARGEST_AUC_ALONE and _is_enough(rows.outcomes):
            alarms.append(f"{name} alone tells who churned with an AUC of {best:.4f}, above {LARGEST_AUC_ALONE}")
    return alarms


def shuffled_labels_that_score(training: LabelledRows, test: LabelledRows, fit: Fit, *, seed: int) -> list[str]:
    """Labels dealt anew at random can be foretold by nobody who has not seen them."""
    random = np.random.default_rng(seed)
    shuffled = random.permutation(np.concatenate([training.outcomes, test.outcomes]))
    dealt = with_outcomes(training, shuffled[: len(training)]), with_outcomes(test, shuffled[len(training) :])
    if not all(_is_enough(part.outcomes) for part in dealt):
        return []
    found = auc(dealt[1].outcomes, fit(dealt[0])(dealt[1].table))
    bound = LARGEST_SHUFFLED + 4 * _standard_error(dealt[1].outcomes)
    if abs(found - 0.5) <= bound:
        return []
    return [f"labels shuffled at random are foretold with an AUC of {found:.4f}, more than {bound:.4f} from 0.5"]


def random_splits_that_flatter(training: LabelledRows, fit: Fit, *, horizon_days: int, seed: int) -> list[str]:
    """A split by chance lets a model see the same customers on both sides; far better than by time means it knows them.

    Compared are AUCs on the newest snapshot of the training rows: of a model that learnt from the snapshots whose label
    windows ended by then, and of one that learnt from all rows but those that are judged, half of that snapshot's
    among them. It has seen more rows and newer ones as well, which the bound leaves room for.
    """
    origins = origins_of(training, horizon_days=horizon_days, most=1)
    if not origins:
        return []
    is_newest = training.days == origins[0]
    known = training.days + horizon_days <= origins[0]
    half = np.random.default_rng(seed).random(len(training)) < 0.5
    judged = training.take(is_newest & half)
    apart, mixed = training.take(known), training.take(~(is_newest & half))
    by_time, by_chance = (auc(judged.outcomes, fit(part)(judged.table)) for part in (apart, mixed))
    bound = LARGEST_GAP + 2 * _standard_error(judged.outcomes)
    if by_chance - by_time <= bound:
        return []
    return [
        f"a random split shows an AUC of {by_chance:.4f} where the split by time shows {by_time:.4f}: "
        f"more than {bound:.4f} above it"
    ]


def with_outcomes(rows: LabelledRows, outcomes: np.ndarray) -> LabelledRows:
    """The same rows with other outcomes."""
    place = rows.table.schema.get_field_index("is_churned")
    return LabelledRows(rows.table.set_column(place, "is_churned", pa.array(outcomes)))


def unseen_customers(training: LabelledRows, test: LabelledRows) -> np.ndarray:
    """Which test rows are of customers of whom training has no row."""
    return ~np.isin(test.customers, training.customers)


def _is_enough(outcomes: np.ndarray) -> bool:
    return 20 <= outcomes.sum() <= len(outcomes) - 20


def _standard_error(outcomes: np.ndarray) -> float:
    """Of the AUC of a scorer that knows nothing: the Mann-Whitney statistic under no difference."""
    yes, no = outcomes.sum(), len(outcomes) - outcomes.sum()
    return float(np.sqrt((yes + no + 1) / (12 * yes * no))) if yes and no else 1.0
