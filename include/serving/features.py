"""Online features for requests, and how old they are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg_pool import AsyncConnectionPool

from include.features.definitions.selection import PRESENT
from include.features.definitions.versions import UnknownVersion
from include.features.definitions.view import Cadence
from include.features.online.reads import AsyncOnlineFeatures
from include.features.online.response import OnlineResponse
from include.serving.answers import ViewAge
from include.serving.problems import RETRY_SECONDS, ProblemError
from include.serving.warehouse import surviving

_EXPECTED: dict[Cadence, timedelta] = {
    "daily": timedelta(days=2), "weekly": timedelta(days=8), "monthly": timedelta(days=32),
}  # fmt: skip
"""A row older than this has missed its next build: the time between two snapshots and a day for the build."""


class CustomerFeatures:
    """Features of customers at an instant, from the online store."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._online = AsyncOnlineFeatures(pool)

    async def read(self, wanted: Sequence[str], customer_ids: Sequence[int | None], *, at: datetime) -> OnlineResponse:
        """As `get_online_features` gives them.

        :raises ProblemError: 503, they were never built.
        """
        rows = [{"customer_id": customer_id} for customer_id in customer_ids]
        try:
            return await surviving(self._pool, lambda: self._online.get_online_features(wanted, rows, at=at))
        except UnknownVersion:
            raise ProblemError(
                503, "features-not-built", "The features were not built yet. Ask again later.",
                retry_seconds=RETRY_SECONDS,
            ) from None  # fmt: skip


def ages_of(response: OnlineResponse) -> list[dict[str, ViewAge]]:
    """Per row and view how old its features are at the instant of the request."""
    ages: list[dict[str, ViewAge]] = [{} for _ in range(len(response))]
    for rows in response.views:
        expected = _EXPECTED[rows.view.cadence]
        for own, event_at, status in zip(ages, rows.event_times, rows.statuses, strict=True):
            age = None if event_at is None else response.at - event_at
            own[rows.view.name] = ViewAge.model_construct(
                status=status,
                event_at=event_at,
                age_seconds=None if age is None else age.total_seconds(),
                is_stale=status != PRESENT or (age is not None and age > expected),
            )
    return ages
