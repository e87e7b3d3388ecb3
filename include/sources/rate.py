"""How often a host is asked: one limiter per host, shared by everything on the same event loop."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from aiolimiter import AsyncLimiter

_LIMITERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncLimiter]] = WeakKeyDictionary()
"""A limiter belongs to one event loop, and a task's process runs one."""


async def take_turn(host: str, *, requests_per_second: float | None) -> None:
    """Wait until the host may be asked again. Requests are spaced evenly; there are no bursts.

    :param requests_per_second: where several connections to one host differ, the slowest counts from then on.
    """
    if requests_per_second is None:
        return
    limiters = _LIMITERS.setdefault(asyncio.get_running_loop(), {})
    limiter = limiters.get(host)
    if limiter is None or requests_per_second < 1 / limiter.time_period:
        limiter = limiters[host] = AsyncLimiter(1, 1 / requests_per_second)
    await limiter.acquire()
