"""What a report on a churn model says: figures as JSON, each beside its baselines and with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from include.models.churn.canaries import unseen_customers
from include.models.churn.candidates import BLEND, LabelledRows, chance_of, fit_candidate
from include.models.churn.columns import Vector
from include.models.churn.model import Calibration, ChurnModel
from include.models.metrics import auc, calibration, gains, judge

SHARES = np.linspace(0, 1, 41)
_MOST_ROWS = 10_000
_SHUFFLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A letter to those most likely to leave: what it costs and brings, in the currency of the shop.

    :param offer_cost: of one letter with its offer, whoever gets it.
    :param customer_value: what a customer who stays is worth.
    :param saved_share: how many of those who would have left it makes stay, 0 to 1. An assumption: only a trial with a
        group that gets no letter can tell.
    """

    offer_cost: float = 2.0
    customer_value: float = 60.0
    saved_share: float = 0.1


def figures(
    model: ChurnModel,
    training: LabelledRows,
    test: LabelledRows,
    probabilities: Mapping[str, Vector],
    *,
    campaign: Campaign,
    seed: int,
) -> dict[str, Any]:
    """All of the report that is computed from the test rows; scores and intervals are the evaluation's."""
    outcomes = test.outcomes
    return {
        "reliability": {
            name: [asdict(each) for each in calibration(outcomes, own)] for name, own in probabilities.items()
        },
        "gain": {name: gains(outcomes, own, shares=SHARES).tolist() for name, own in probabilities.items()},
        "gain_shares": SHARES.tolist(),
        "season": season_figures(model, test),
        "importance": importance(model, test, seed=seed),
        "customers": _customers(training, test, probabilities),
        "other_customers": other_customers(training, test, horizon_days=model.horizon_days, seed=seed),
        "campaign": profit(outcomes, probabilities["model"], campaign),
    }


def season_figures(model: ChurnModel, test: LabelledRows) -> dict[str, dict[str, float]]:
    """What season and calibration each do at the test: the same model without the one, the other, or both."""
    own = model.calibration
    matrix = model.columns.matrix(test.table)
    variants = {
        "as trained": Calibration(),
        "calibrated, without season": replace(own, exposures=(1.0,) * 366),
        "with season, not calibrated": replace(own, slope=1.0, intercept=0.0),
        "calibrated, with season": own,
    }
    found = {}
    for name, each in variants.items():
        probabilities = model.calibrated(each).probabilities_of(matrix)
        metrics = judge(test.outcomes, probabilities)
        found[name] = {
            "mean_probability": float(probabilities.mean()),
            "expected_calibration_error": metrics["expected_calibration_error"],
            "log_loss": metrics["log_loss"],
            "brier": metrics["brier"],
        }
    return found


def importance(model: ChurnModel, test: LabelledRows, *, seed: int) -> list[dict[str, Any]]:
    """By how much the AUC falls when a group of features is dealt anew among the customers, largest first.

    Features that measure one thing are dealt together: one alone would be read off the others.
    """
    test = test.sample(_MOST_ROWS, seed=seed)
    matrix = model.columns.matrix(test.table)
    random = np.random.default_rng(seed)
    whole = auc(test.outcomes, model.probabilities_of(matrix))
    found = []
    for group in model.groups:
        falls = []
        for _ in range(_SHUFFLES):
            dealt = matrix.copy()
            dealt[:, list(group.places)] = matrix[random.permutation(len(matrix))][:, list(group.places)]
            falls.append(whole - auc(test.outcomes, model.probabilities_of(dealt)))
        found.append(
            {
                "feature": group.name,
                "description": model.words[group.name].description,
                "features": [model.inputs[place] for place in group.places],
                "auc_fall": float(np.mean(falls)),
                "deviation": float(np.std(falls)),
            }
        )
    return sorted(found, key=lambda each: -each["auc_fall"])


def profit(outcomes: npt.NDArray[np.bool_], probabilities: Vector, campaign: Campaign) -> dict[str, Any]:
    """What the campaign brings per 1,000 customers, as foretold and as it would have come, by the share written to.

    Writing to one who leaves with probability p brings `p * saved_share * customer_value - offer_cost`, so it pays for
    those with `p > offer_cost / (saved_share * customer_value)`, which needs probabilities that are true, not only in
    the right order.
    """
    order = np.argsort(-probabilities, kind="stable")
    worth = campaign.saved_share * campaign.customer_value
    numbers = np.round(SHARES * len(order)).astype(int)
    scale = 1000 / len(order)

    def curve(chances: Vector) -> Vector:
        total = np.r_[0.0, np.cumsum(chances[order] * worth - campaign.offer_cost)]
        return total * scale

    foretold, came = curve(probabilities), curve(outcomes.astype(np.float64))
    border = campaign.offer_cost / worth if worth > 0 else np.inf
    chosen = int((probabilities > border).sum())
    return {
        "terms": asdict(campaign),
        "pays_above_probability": float(min(border, 1.0)),
        "shares": SHARES.tolist(),
        "foretold_per_1000": foretold[numbers].tolist(),
        "came_per_1000": came[numbers].tolist(),
        "written_to_share": chosen / len(order),
        "foretold_there_per_1000": float(foretold[chosen]),
        "came_there_per_1000": float(came[chosen]),
        "everyone_per_1000": float(came[-1]),
        "best_possible_per_1000": float(came.max()),
    }


def _customers(
    training: LabelledRows, test: LabelledRows, probabilities: Mapping[str, Vector]
) -> dict[str, dict[str, float | None]]:
    """Customers whom training had seen at earlier snapshots, and those it had not: new ones, whom all find hard."""
    is_unseen = unseen_customers(training, test)
    found: dict[str, dict[str, float | None]] = {}
    for name, mask in (("seen in training", ~is_unseen), ("not seen in training", is_unseen)):
        outcomes = test.outcomes[mask]
        is_judged = 0 < outcomes.sum() < len(outcomes)
        found[name] = {
            "rows": int(mask.sum()),
            "churn_rate": float(outcomes.mean()) if len(outcomes) else None,
            **{
                f"auc_{scorer}": auc(outcomes, own[mask]) if is_judged else None
                for scorer, own in probabilities.items()
            },
        }
    return found


def other_customers(
    training: LabelledRows, test: LabelledRows, *, horizon_days: int, seed: int
) -> dict[str, float | None]:
    """Whether the model learnt persons: the same test rows by models of these customers' pasts and of other customers'.

    Customers are dealt into two halves, a model is fitted on the training rows of each, and each half's test rows are
    judged by both. A model of habits does as well on customers it never met.
    """
    training = training.sample(_MOST_ROWS, seed=seed)
    in_first, asked_first = (chance_of(rows.customers, seed=seed + 1) < 0.5 for rows in (training, test))
    halves = [training.take(in_first), training.take(~in_first)]
    parts = [test.take(asked_first), test.take(~asked_first)]
    if any(not 0 < each.outcomes.sum() < len(each) for each in [*halves, *parts]):
        return {"auc_of_their_own_past": None, "auc_of_others_past": None}
    models = [fit_candidate(BLEND, half, horizon_days=horizon_days, seed=seed) for half in halves]
    own = [auc(part.outcomes, model.probabilities(part.table)) for part, model in zip(parts, models, strict=True)]
    other = [
        auc(part.outcomes, model.probabilities(part.table)) for part, model in zip(parts, models[::-1], strict=True)
    ]
    return {"auc_of_their_own_past": float(np.mean(own)), "auc_of_others_past": float(np.mean(other))}
