"""Requests for one score each, answered together.

Those that come while others are at work wait for them; then all are read by one statement and scored by one call. A
model gives each row the same bits in any company, so nobody can tell. The busier it is, the less a request costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from include.serving.champion import ChampionWatch
from include.serving.scoring import ChurnScoring, Scored

MOST_ROWS = 256
"""Requests that are scored together at most."""


class ChurnScorer:
    """Scores by the champion of the moment."""

    def __init__(self, scoring: ChurnScoring, champions: ChampionWatch) -> None:
        self._scoring, self._champions = scoring, champions
        self._waiting: list[tuple[int, asyncio.Future[Scored]]] = []
        self._work: asyncio.Task[None] | None = None

    async def score_many(self, customer_ids: Sequence[int]) -> Scored:
        """All of them by one champion at one instant.

        :raises ProblemError: there is no champion, or its features were never built.
        :raises OperationalError: the warehouse does not answer.
        """
        return await self._scoring.score(self._champions.current, customer_ids)

    async def score_one(self, customer_id: int) -> Scored:
        """One customer, together with whoever else is asked for meanwhile; see `score_many`."""
        answer: asyncio.Future[Scored] = asyncio.get_running_loop().create_future()
        self._waiting.append((customer_id, answer))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._score_waiting())
        return await answer

    async def _score_waiting(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:MOST_ROWS], self._waiting[MOST_ROWS:]
            taken = [(customer_id, answer) for customer_id, answer in taken if not answer.done()]
            try:
                scored = await self.score_many([customer_id for customer_id, _ in taken])
            except Exception as error:  # Each of them is told.
                for _, answer in taken:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for (_, answer), customer in zip(taken, scored.customers, strict=True):
                if not answer.done():
                    answer.set_result(Scored([customer], scored.model, scored.at))
