"""Extract, validate, upsert: the three tasks of every entity."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from airflow.sdk import get_current_context, task, task_group

from orchestration.assets import EVENTS, ORDERS
from orchestration.window import run_window, window_extra

log = logging.getLogger(__name__)

LOADED = {"orders": ORDERS, "events": EVENTS}
"""Entities whose loads others wait for."""


def ingest(entity: str, *, pool: str):
    """The tasks `extract_<entity>`, `validate_<entity>` and `upsert_<entity>`, one after the other.

    Only the name of the landed batch passes between them.

    :param pool: bounds how many extractions ask the same API at once, over all runs and workers.
    """

    @task(task_id=f"extract_{entity}", pool=pool)
    def extract_entity() -> str:
        import asyncio

        return _step(entity, lambda service, window: [asyncio.run(service.extract(window))])

    @task(task_id=f"validate_{entity}")
    def validate_entity(batch: str) -> str:
        return _step(entity, lambda service, window: service.validate(window, batch=batch))

    @task(task_id=f"upsert_{entity}", outlets=[LOADED[entity]] if entity in LOADED else [])
    def upsert_entity(batch: str) -> str:
        loaded = _step(entity, lambda service, window: service.load(window, batch=batch))
        if entity in LOADED:
            context = get_current_context()
            context["outlet_events"][LOADED[entity]].extra = window_extra(run_window(context))
        return loaded

    @task_group(group_id=entity, prefix_group_id=False)
    def steps():
        upsert_entity(validate_entity(extract_entity()))

    return steps()


def _step(entity: str, step: Callable[..., Any]) -> str:
    """Run one step over the run's window, log its receipts, and give the batch's name."""
    from include.ingestion.network_store import postgres_network
    from include.ingestion.service import service_in_postgres
    from include.sources.factory import source_for
    from include.warehouse.connection import connect_warehouse
    from orchestration.connections import landing, source_settings, warehouse_dsn

    context = get_current_context()
    window, dsn = run_window(context), warehouse_dsn()
    source = source_for(entity, settings_of=source_settings, network=postgres_network(dsn))
    with connect_warehouse(dsn) as conn:
        service = service_in_postgres(conn, source, landing=landing(), run=context["dag_run"].run_id)
        receipts = step(service, window)
    for receipt in receipts:
        log.info("%s", receipt)
    batch = receipts[0].batch
    assert batch is not None
    return batch
