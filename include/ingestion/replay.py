"""Replay: load again what has been landed. No API is asked."""

from __future__ import annotations

from collections.abc import Iterable

from include.entities.window import Window
from include.ingestion.errors import NothingLanded
from include.ingestion.landing import Landing
from include.ingestion.service import IngestionService
from include.warehouse.receipts import Receipt


def newest_batch(landing: Landing, *, source: str, entity: str, window: Window) -> str:
    """The batch that was read last for exactly this window.

    :param source: name of the connection that it came through.
    :raises NothingLanded: there is none.
    """
    found = [batch for batch in landing.batches(entity=entity, window=window) if _came_through(batch, source)]
    if not found:
        raise NothingLanded(_nothing(landing, entity=entity, window=window, source=source))
    return found[-1]


def overlapping_batches(landing: Landing, *, source: str, entity: str, span: Window) -> list[str]:
    """All batches whose window has an instant in common with `span`, oldest first.

    :param source: name of the connection that they came through.
    :raises NothingLanded: there is none.
    """
    found = []
    for batch in landing.batches(entity=entity):
        window = landing.manifest(batch).window
        if _came_through(batch, source) and window.start < span.end and span.start < window.end:
            found.append(batch)
    if not found:
        raise NothingLanded(_nothing(landing, entity=entity, window=span, source=source))
    return found


def replay(service: IngestionService, landing: Landing, batches: Iterable[str]) -> list[Receipt]:
    """Validate and load batches, one after the other, each over its own window.

    What has been loaded already is found unchanged or stale, as with any load. A batch that fails stops the replay;
    the ones before it are loaded.

    :returns: the receipts of all of them, already stored.
    :raises LandingDamaged: a batch is not what was landed.
    :raises QualityFailed: a critical expectation does not hold.
    """
    receipts = []
    for batch in batches:
        window = landing.manifest(batch).window
        receipts += service.validate(window, batch=batch)
        receipts += service.load(window, batch=batch)
    return receipts


def _came_through(batch: str, source: str) -> bool:
    return batch.startswith(f"{source}/")


def _nothing(landing: Landing, *, entity: str, window: Window, source: str) -> str:
    return (
        f"Landing ({landing.root}) holds no complete batch of {entity} over {window} that came through the connection "
        f"`{source}`. Nothing was loaded. What is older than REGULARS_LANDING_DAYS has been removed: run the DAG over "
        "this window, which asks the source again."
    )
