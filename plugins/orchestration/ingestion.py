"""Extract, validate, upsert: the three tasks of every entity."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.sdk import get_current_context, task, task_group

from orchestration.window import run_window

log = logging.getLogger(__name__)


def ingest(entity: str):
    """The tasks `extract_<entity>`, `validate_<entity>` and `upsert_<entity>`, one after the other.

    Only the name of the landed batch passes between them.
    """

    @task(task_id=f"extract_{entity}")
    def extract_entity() -> str:
        import asyncio

        from include.ingestion.extract import extract
        from include.warehouse.connection import connect_warehouse
        from include.warehouse.receipts import write_receipt
        from orchestration.connections import warehouse_dsn

        window, now = run_window(get_current_context()), datetime.now(UTC)
        receipt = asyncio.run(extract(_source(entity), window, landing=_landing(), now=now))
        with connect_warehouse(warehouse_dsn()) as conn:
            write_receipt(conn, receipt, now=now)
        log.info("%s", receipt)
        assert receipt.batch is not None
        return receipt.batch

    @task(task_id=f"validate_{entity}")
    def validate_entity(batch: str) -> str:
        from include.ingestion.validate import validate

        return _with_warehouse(validate, entity, batch)

    @task(task_id=f"upsert_{entity}")
    def upsert_entity(batch: str) -> str:
        from include.ingestion.load import load

        return _with_warehouse(load, entity, batch)

    @task_group(group_id=entity, prefix_group_id=False)
    def steps():
        upsert_entity(validate_entity(extract_entity()))

    return steps()


def _with_warehouse(step, entity: str, batch: str) -> str:
    from include.warehouse.connection import connect_warehouse
    from orchestration.connections import warehouse_dsn

    window = run_window(get_current_context())
    with connect_warehouse(warehouse_dsn()) as conn:
        receipts = step(conn, _source(entity), window, batch=batch, landing=_landing(), now=datetime.now(UTC))
    for receipt in receipts:
        log.info("%s", receipt)
    return batch


def _source(entity: str):
    from include.sources.factory import source_for
    from orchestration.connections import source_settings

    return source_for(entity, settings_of=source_settings)


def _landing():
    from include.ingestion.landing import Landing
    from orchestration.connections import storage

    return Landing(storage() / "landing")
