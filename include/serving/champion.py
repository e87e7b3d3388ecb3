"""The champion that scores, kept up to date with the registry while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from include.models.registry.model_registry import ModelRegistry
from include.models.scores.champion import NAME, Champion, load_champion
from include.serving.metrics import ApiMetrics
from include.serving.problems import RETRY_SECONDS, ProblemError

logger = logging.getLogger(__name__)


class ChampionWatch:
    """Asks the registry every few seconds, loads a new champion in a thread, and then swaps it in at once.

    A request that has begun is scored by the champion that it began with. One that cannot be loaded or tried out is
    left aside, said in the log, and tried again at the next look; the former goes on.

    :param connect: makes the registry; called until it succeeds once.
    :param rehearse: tries a champion before it counts.
    """

    def __init__(
        self,
        connect: Callable[[], ModelRegistry],
        *,
        rehearse: Callable[[Champion], Awaitable[None]],
        refresh_seconds: float,
        metrics: ApiMetrics,
    ) -> None:
        self._connect, self._rehearse = connect, rehearse
        self._refresh_seconds, self._metrics = refresh_seconds, metrics
        self._registry: ModelRegistry | None = None
        self._champion: Champion | None = None
        self._trouble = ""

    @property
    def current(self) -> Champion:
        """:raises ProblemError: there is none, or it could not be loaded yet."""
        if self._champion is None:
            raise ProblemError(
                503, "no-champion",
                "No churn model is in use yet: none was promoted, or it could not be loaded. Ask again later.",
                retry_seconds=RETRY_SECONDS,
            )  # fmt: skip
        return self._champion

    @property
    def is_loaded(self) -> bool:
        """Whether there is one to score with."""
        return self._champion is not None

    async def keep_fresh(self) -> None:
        """Look for a new champion for ever."""
        while True:
            await self.look()
            await asyncio.sleep(self._refresh_seconds)

    async def look(self) -> None:
        """Take up the champion of now, if it is another one."""
        try:
            found = await asyncio.to_thread(self._load)
            if found is None:
                return
            await self._rehearse(found)
        except Exception as error:  # Whatever it is, requests go on with what there is.
            self._metrics.note_model_failure()
            self._say(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            return
        self._champion = found
        version = found.kept
        self._metrics.note_model(name=version.name, version=version.version, model_id=version.model_id)
        logger.info("champion model=%s version=%s model_id=%s", version.name, version.version, version.model_id)
        self._trouble = ""

    def _load(self) -> Champion | None:
        """The champion of now if it is not the one in use. A champion that was taken back stays until the next one."""
        if self._registry is None:
            self._registry = self._connect()
        holder = self._registry.holder_of(NAME)
        if holder is None:
            self._say("there is no champion")
            return None
        if self._champion is not None and holder.version == self._champion.kept.version:
            self._trouble = ""
            return None
        return load_champion(self._registry)

    def _say(self, trouble: str) -> None:
        """One line whenever it changes."""
        if trouble != self._trouble:
            self._trouble = trouble
            logger.error("champion is_taken_up=0 reason=%s", trouble)
