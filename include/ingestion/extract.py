"""Extract: an API's pages over a window, into landing."""

from __future__ import annotations

import time
from datetime import datetime

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.sources.source import Source
from include.warehouse.receipts import Receipt


async def extract(source: Source, window: Window, *, landing: Landing, now: datetime) -> Receipt:
    """Read all pages of the window and keep them as they came.

    :returns: a receipt whose `batch` names the landed batch; rows are counted, not yet judged.
    :raises SourceError: a page could not be had; no batch appears.
    :raises LandingNotWritable: landing is full or read-only; no batch appears.
    """
    started = time.monotonic()
    batch = landing.open_batch(source=source.name, entity=source.entity.name, window=window, now=now)
    rows = pages = 0
    try:
        async for page in source.pages(window):
            count = len(source.split(page.body, window))
            batch.write(page, rows=count)
            rows, pages = rows + count, pages + 1
        name = batch.close()
    except BaseException:
        batch.discard()
        raise
    return Receipt(
        step="extract",
        entity=source.entity.name,
        window=window,
        received=rows,
        passed=rows,
        batch=name,
        details={"pages": pages},
        seconds=time.monotonic() - started,
    )
