"""Two things at once where Python allows it: reading the next items while one is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def read_ahead(items: Iterable[Item], *, count: int) -> Generator[Item]:
    """The same items in the same order, taken in a thread, up to `count` of them ahead.

    What reading raises is raised where the item would have come. The thread ends with the iteration, however it ends.
    """
    iterator = iter(items)

    def take() -> list[Item]:
        return [item for _, item in zip(range(1), iterator, strict=False)]

    with ThreadPoolExecutor(1, thread_name_prefix="read_ahead") as thread:
        under_way: deque[Future[list[Item]]] = deque(thread.submit(take) for _ in range(count))
        try:
            while item := under_way.popleft().result():
                under_way.append(thread.submit(take))
                yield from item
        finally:
            thread.shutdown(wait=True, cancel_futures=True)
