"""What the runs play on: a small shop whose lists still have many pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

CUSTOMERS = 30
SHOP_SEED = 11
ROWS_PER_PAGE = 12
EVENTS_PER_PAGE = 150


@contextmanager
def small_pages() -> Iterator[None]:
    """Sources that ask for few rows at a time, so that a small shop has many pages for faults to strike."""
    with ExitStack() as changes:
        for name, value in {
            "woocommerce.PER_PAGE": ROWS_PER_PAGE,
            "woocommerce_list.PER_PAGE": ROWS_PER_PAGE,
            "woocommerce_list.MOST_SHARED": ROWS_PER_PAGE // 2,
            "segment_events.PER_PAGE": EVENTS_PER_PAGE,
        }.items():
            changes.enter_context(mock.patch(f"include.sources.{name}", value))
        yield
