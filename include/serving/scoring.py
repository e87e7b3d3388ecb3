"""Churn scores at the instant of the request: features from the online store, through the champion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from include.features.definitions.selection import NOT_FOUND, PRESENT
from include.features.online.response import OnlineResponse
from include.models.churn.inputs import CORE_VIEW
from include.models.scores.champion import Champion
from include.serving.answers import ModelUsed, Reason, Score, Unscored, ViewAge
from include.serving.features import CustomerFeatures, ages_of
from include.serving.metrics import ApiMetrics

if TYPE_CHECKING:
    from include.models.churn.model import ChurnScores


@dataclass(frozen=True, slots=True)
class Scored:
    """Customers in the order asked, each with a score or the reason that there is none.

    :param at: the instant that the features were read for.
    """

    customers: list[Score | Unscored]
    model: ModelUsed
    at: datetime


class ChurnScoring:
    """Scores customers by a champion from what the online store has of them.

    :param clock: what is now, in UTC.
    """

    def __init__(self, features: CustomerFeatures, *, clock: Callable[[], datetime], metrics: ApiMetrics) -> None:
        self._features, self._clock, self._metrics = features, clock, metrics
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="churn-score")

    async def rehearse(self, champion: Champion) -> None:
        """Read its features for nobody and score a row of nulls: what it wants is there, and its code is loaded.

        :raises Exception: whatever would hinder it from scoring.
        """
        await self.score(champion, [None])

    async def score(self, champion: Champion, customer_ids: Sequence[int | None]) -> Scored:
        """All of them at one instant; the model works in a thread, so that other requests go on.

        :raises ProblemError: the features that it wants were never built.
        :raises OperationalError: the warehouse does not answer.
        """
        response = await self._features.read(champion.wanted, customer_ids, at=self._clock())
        loop = asyncio.get_running_loop()
        customers = await loop.run_in_executor(self._thread, _customers, champion, customer_ids, response)
        ages = [age for each in customers if isinstance(each, Score) if (age := _oldest(each.features)) is not None]
        if ages:
            self._metrics.note_score(max(ages))
        model = ModelUsed.model_construct(
            name=champion.kept.name, version=champion.kept.version, model_id=champion.kept.model_id,
            horizon_days=champion.model.horizon_days,
        )  # fmt: skip
        return Scored(customers, model, response.at)


def _customers(
    champion: Champion, customer_ids: Sequence[int | None], response: OnlineResponse
) -> list[Score | Unscored]:
    """A row is scored under the condition under which rows were trained on: the view that says who is a customer."""
    rows: pa.Table = response.to_arrow()
    scores = champion.model.score(rows)
    return [
        _score_of(customer_id or 0, number, scores, ages)
        if ages[CORE_VIEW].status == PRESENT
        else Unscored.model_construct(
            customer_id=customer_id or 0,
            problem="unknown-customer" if ages[CORE_VIEW].status == NOT_FOUND else "features-too-old",
        )
        for number, (customer_id, ages) in enumerate(zip(customer_ids, ages_of(response), strict=True))
    ]


def _score_of(customer_id: int, number: int, scores: ChurnScores, ages: dict[str, ViewAge]) -> Score:
    return Score.model_construct(
        customer_id=customer_id,
        probability=float(scores.probability[number]),
        decile=int(scores.decile[number]),
        reasons=[
            Reason.model_construct(feature=each.feature, value=each.value, effect=each.effect, text=each.text)
            for each in scores.reasons[number]
        ],
        features=ages,
    )


def _oldest(ages: dict[str, ViewAge]) -> float | None:
    return max((age.age_seconds for age in ages.values() if age.age_seconds is not None), default=None)
