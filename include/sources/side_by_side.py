"""Several asynchronous streams read at once, as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


async def side_by_side(streams: Sequence[AsyncIterator[Item]], *, ahead: int) -> AsyncIterator[Item]:
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
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
