"""What is chosen on the validation windows: half-life of popularity, kind of item-to-item, weights of the blend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from include.models.recommendations.blend import ALONE, SOURCES, TIE_BREAK, Candidates, Sources, Weights
from include.models.recommendations.parameters import RecommendationParameters
from include.models.recommendations.purchases import Floats, History, Numbers
from include.models.recommendations.ranking_metrics import AT, METRICS, per_customer
from include.models.recommendations.repeats import Repeats
from include.models.recommendations.sources import SIMILARITIES, Factors, ItemToItem, Popularity
from include.models.recommendations.windows import Outcome

HALF_LIVES = (4.0, 7.0, 14.0, 30.0, 60.0, 120.0, 365.0)
"""Days, tried for popularity."""
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Tried for each source."""
MEMORIES = (120.0, 45.0, 365.0)
"""Days, tried for item-to-item; the first while its kind is chosen."""

NDCG = METRICS.index("ndcg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """How recommendations are made; the defaults are those of a shop too young to choose.

    :param half_life_days: for popularity.
    :param memory_days: for item-to-item and factors.
    :param similarity: for item-to-item.
    :param weights: one per source: repeat, item_to_item, factors, popularity.
    """

    half_life_days: float = 30.0
    memory_days: float = MEMORIES[0]
    similarity: str = "cosine"
    weights: Weights = ALONE["popularity"]

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"weights": dict(zip(SOURCES, self.weights, strict=True))}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Choices:
        return cls(**kept | {"weights": tuple(kept["weights"][name] for name in SOURCES)})


Cut = tuple[History, Outcome]


@dataclass(frozen=True, slots=True)
class Judged:
    """The candidates at a cut of the customers who are judged, and what they bought."""

    history: History
    outcome: Outcome
    candidates: Candidates

    def values(self, weights: Weights, *, new_only: bool) -> tuple[Numbers, Floats]:
        """Lists by the weights, and their metrics per customer who bought anything that counts."""
        lists, _ = self.candidates.lists(weights, length=AT, new_only=new_only)
        return lists, judge_lists(self.outcome, lists, new_only=new_only)


def fit_sources(history: History, choices: Choices, *, parameters: RecommendationParameters) -> Sources:
    """All four sources from one history, which must not be empty."""
    memory_days = choices.memory_days
    return Sources(
        history=history,
        repeat=Repeats(history, horizon_days=parameters.horizon_days),
        item_to_item=ItemToItem(
            history, similarity=choices.similarity, memory_days=memory_days, neighbours=parameters.neighbours
        ),
        factors=Factors(history, factors=parameters.factors, memory_days=memory_days, seed=parameters.seed),
        popularity=Popularity(history, half_life_days=choices.half_life_days),
    )


def candidates_at(cut: Cut, choices: Choices, *, parameters: RecommendationParameters) -> Judged:
    """Fit the sources on what was known at a cut, and take their candidates."""
    history, outcome = cut
    sources = fit_sources(history, choices, parameters=parameters)
    batches = sources.in_batches(outcome.customers, per_source=parameters.candidates_per_source)
    return Judged(history, outcome, joined([candidates for _, candidates in batches]))


def choose(cuts: Sequence[Cut], *, parameters: RecommendationParameters) -> tuple[Choices, list[Judged]]:
    """The choices with the best NDCG at 10, over all customers of all validation windows.

    Popularity is chosen for all products, item-to-item for those new to the customer, and the weights for the sum of
    both.

    :param cuts: at least one.
    :returns: the choices, and what they were made on.
    """
    half_life = max(
        HALF_LIVES, key=lambda tried: _pooled_ndcg(_popularity_judged(*cut, half_life=tried) for cut in cuts)
    )

    def similar_ndcg(similarity: str, memory_days: float) -> float:
        return _pooled_ndcg(
            _similar_judged(*cut, similarity=similarity, memory_days=memory_days, parameters=parameters) for cut in cuts
        )

    similarity = max(SIMILARITIES, key=lambda tried: similar_ndcg(tried, MEMORIES[0]))
    memory = max(MEMORIES, key=lambda tried: similar_ndcg(similarity, tried))
    choices = Choices(half_life_days=half_life, memory_days=memory, similarity=similarity)
    judged = [candidates_at(cut, choices, parameters=parameters) for cut in cuts]
    return replace(choices, weights=_best_weights(judged)), judged


def joined(parts: Sequence[Candidates]) -> Candidates:
    """Candidates of several batches as those of one."""
    return Candidates(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("products", "scores", "is_bought"))
    )


def judge_lists(outcome: Outcome, lists: Numbers, *, new_only: bool = False) -> Floats:
    """Metrics per customer who bought anything that counts: one row each, one column per metric."""
    relevant = outcome.relevant_new if new_only else outcome.relevant
    asked = relevant > 0
    return per_customer(outcome.hits(lists)[asked], relevant[asked])


def _best_weights(judged: Sequence[Judged]) -> Weights:
    """One weight after the other is set to what is best, from the best source alone, until nothing gets better."""

    def quality(weights: Weights) -> float:
        return sum(
            _pooled_ndcg(each.values(weights, new_only=new_only)[1] for each in judged) for new_only in (False, True)
        )

    best = max((ALONE[name] for name in SOURCES), key=quality)
    best_quality, improves = quality(best), True
    while improves:
        improves = False
        for place in range(len(SOURCES)):
            for tried in WEIGHTS:
                weight = max(tried, TIE_BREAK) if SOURCES[place] == "popularity" else tried
                weights: Weights = (*best[:place], weight, *best[place + 1 :])  # type: ignore[assignment]  # as many as before
                if (found := quality(weights)) > best_quality + 1e-9:
                    best, best_quality, improves = weights, found, True
    return best


def _pooled_ndcg(judged: Iterable[Floats]) -> float:
    """The mean over the customers of all windows; 0 if there are none."""
    values = np.concatenate([each[:, NDCG] for each in judged])
    return float(values.mean()) if len(values) else 0.0


def _popularity_judged(history: History, outcome: Outcome, *, half_life: float) -> Floats:
    scores = Popularity(history, half_life_days=half_life).products
    best = np.argsort(-scores, kind="stable")[:AT]
    best = np.pad(best, (0, AT - len(best)), constant_values=-1)
    return judge_lists(outcome, np.broadcast_to(best, (len(outcome.customers), AT)))


def _similar_judged(
    history: History,
    outcome: Outcome,
    *,
    similarity: str,
    memory_days: float,
    parameters: RecommendationParameters,
) -> Floats:
    source = ItemToItem(history, similarity=similarity, memory_days=memory_days, neighbours=parameters.neighbours)
    bought, lists = history.matrix(np.ones(len(history.pairs.counts))), []
    for start in range(0, len(outcome.customers), 512):
        batch = outcome.customers[start : start + 512]
        scores = np.where(bought[batch].toarray() > 0, 0, source.scores(batch))
        order = np.argsort(-scores, axis=1, kind="stable")[:, :AT]
        found = np.where(np.take_along_axis(scores, order, axis=1) > 0, order, -1)
        lists.append(np.pad(found, ((0, 0), (0, AT - found.shape[1])), constant_values=-1))
    return judge_lists(outcome, np.concatenate(lists), new_only=True)
