"""What became of every request: counts, repeats and seconds by host, source and status."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Protocol

BUCKET_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency buckets, inclusive; one more bucket holds what took longer."""

Key = tuple[str, str, str]
"""Host, source, and the HTTP status as text or what happened instead of one."""


@dataclass(slots=True)
class Totals:
    """Requests of one key.

    :param retry_count: how many of them were followed by another try.
    :param seconds_total: from asking to the last byte, summed up.
    :param bucket_counts: how many fell into each latency bucket, not cumulative.
    """

    request_count: int = 0
    retry_count: int = 0
    seconds_total: float = 0.0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKET_SECONDS) + 1))

    def add(self, other: Totals) -> None:
        """Add the requests of `other`."""
        self.request_count += other.request_count
        self.retry_count += other.retry_count
        self.seconds_total += other.seconds_total
        self.bucket_counts = [a + b for a, b in zip(self.bucket_counts, other.bucket_counts, strict=True)]


class RequestLog(Protocol):
    """Takes note of requests; cheap to call, written out by `flush`."""

    def record(self, key: Key, *, seconds: float) -> None:
        """One try and how long it took."""
        ...

    def record_retry(self, key: Key) -> None:
        """The try of this key that was recorded before is followed by another."""
        ...

    async def flush(self) -> None:
        """Write out what was recorded since the last time. Never raises: what could not be written is kept."""
        ...


class MemoryRequestLog:
    """Totals of one process; safe to use from several threads."""

    def __init__(self) -> None:
        self.totals: dict[Key, Totals] = {}
        self._lock = threading.Lock()

    def record(self, key: Key, *, seconds: float) -> None:
        """One try and how long it took."""
        with self._lock:
            totals = self.totals.setdefault(key, Totals())
            totals.request_count += 1
            totals.seconds_total += seconds
            totals.bucket_counts[bisect_left(BUCKET_SECONDS, seconds)] += 1

    def record_retry(self, key: Key) -> None:
        """The try of this key that was recorded before is followed by another."""
        with self._lock:
            self.totals.setdefault(key, Totals()).retry_count += 1

    async def flush(self) -> None:
        """Nothing to do: memory is where these totals live."""

    def take(self) -> dict[Key, Totals]:
        """Everything recorded since the last `take`."""
        with self._lock:
            taken, self.totals = self.totals, {}
        return taken

    def put_back(self, taken: dict[Key, Totals]) -> None:
        """Return what was taken and could not be handed on."""
        with self._lock:
            for key, totals in taken.items():
                self.totals.setdefault(key, Totals()).add(totals)
