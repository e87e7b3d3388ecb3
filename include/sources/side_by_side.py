"""Several asynchronous reads under way at once, as one stream with a bounded number of items waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


async def in_order(asks: Iterable[Coroutine[Any, Any, Item]], *, ahead: int) -> AsyncGenerator[Item]:
    """What the coroutines give, in their order; the first error in that order ends all of them and is raised.

    :param asks: taken one by one, as late as may be; never all at once.
    :param ahead: how many may be under way or done and not yet taken.
    """
    under_way: deque[asyncio.Task[Item]] = deque()
    try:
        for ask in asks:
            under_way.append(asyncio.create_task(ask))
            if len(under_way) >= ahead:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        await _end(under_way)


async def side_by_side(streams: Sequence[AsyncIterator[Item]], *, ahead: int) -> AsyncGenerator[Item]:
    """Items of all streams as they come; the first error ends all of them and is raised.

    :param ahead: how many items may wait to be taken.
    """
    ready: asyncio.Queue[tuple[bool, Item | BaseException | None]] = asyncio.Queue(maxsize=ahead)

    async def drain(stream: AsyncIterator[Item]) -> None:
        try:
            async for item in stream:
                await ready.put((True, item))
        except Exception as error:  # handed to the reader, who raises it
            await ready.put((False, error))
        else:
            await ready.put((False, None))

    tasks = [asyncio.create_task(drain(stream)) for stream in streams]
    try:
        unfinished = len(tasks)
        while unfinished:
            is_item, value = await ready.get()
            if isinstance(value, BaseException):
                raise value
            if is_item:
                yield value  # type: ignore[misc]  # an item, by the flag
            else:
                unfinished -= 1
    finally:
        await _end(tasks)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
