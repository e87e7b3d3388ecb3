"""How often a caller may ask: a bucket that fills with tokens, of which every request takes one."""

from __future__ import annotations

import time
from collections.abc import Callable


class TokenBucket:
    """Full at first. For one event loop; it holds for its process alone: two processes let twice as many through.

    :param per_second: tokens that come in a second.
    :param burst: tokens that it holds at most.
    :param clock: seconds, never going back.
    """

    def __init__(self, *, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst, self._clock = per_second, burst, clock
        self._tokens, self._at = float(burst), clock()

    def take(self) -> float:
        """Take a token: 0, or the seconds until there is one. A request that is turned away takes none."""
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.per_second
