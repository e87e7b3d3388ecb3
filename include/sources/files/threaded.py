"""Reading that blocks, beside an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


async def in_a_thread(items: Iterator[Item]) -> AsyncGenerator[Item, None]:
    """What a generator gives, each item made in one and the same other thread; it is closed there as well."""
    with ThreadPoolExecutor(1, thread_name_prefix="files") as thread:
        loop = asyncio.get_running_loop()
        nothing = object()
        try:
            while (item := await loop.run_in_executor(thread, next, items, nothing)) is not nothing:
                yield item  # type: ignore[misc]  # an item, for it is not nothing
        finally:
            thread.submit(getattr(items, "close", lambda: None))
