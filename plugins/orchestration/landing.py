"""Work on landing: expiry, replay, and the erasure of a customer."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.sdk import Param, get_current_context, task

from orchestration.window import WINDOW_PARAMS, given_window

log = logging.getLogger(__name__)

ENTITIES = ("customers", "products", "orders", "refunds", "events", "weather_daily", "stock_prices_daily")
REPLAY_PARAMS = {
    "entity": Param(
        "orders",
        type="string",
        enum=list(ENTITIES),
        title="Entity",
        description="What to load again from the answers that were kept.",
    ),
    **{
        name: Param(
            None,
            type="string",
            format="date-time",
            title=param.schema["title"],
            description=f"{text} Every batch whose window overlaps the range is loaded again, oldest first.",
        )
        for name, param, text in (
            ("start", WINDOW_PARAMS["start"], "First instant of the range, for example 2024-01-01T00:00:00Z."),
            ("end", WINDOW_PARAMS["end"], "First instant after the range."),
        )
    },
}
"""Shown in the trigger form of the replay."""
ERASURE_PARAMS = {
    "customer_id": Param(
        None,
        type="integer",
        minimum=1,
        title="Customer id",
        description="The customer_id in shop.customers. Erase the customer in the shop first, or the next load brings "
        "the data back. What is erased here cannot be had back.",
    ),
}
"""Shown in the trigger form of the erasure."""


@task
def expire_landing() -> None:
    """Remove batches that are older than REGULARS_LANDING_DAYS, and what killed processes left."""
    from include.ingestion.expiry import expire
    from orchestration.connections import landing, landing_days

    days = landing_days()
    log.info("%s older_than_days=%d", expire(landing(), older_than_days=days, now=datetime.now(UTC)), days)


@task
def replay_landing() -> None:
    """Validate and load the batches of one entity that overlap a range; no API is asked."""
    from include.ingestion.replay import overlapping_batches, replay
    from include.ingestion.service import service_in_postgres
    from include.sources.factory import source_for
    from orchestration.connections import landing, source_settings, warehouse

    context = get_current_context()
    entity, span, store = context["params"]["entity"], given_window(context["params"]), landing()
    source = source_for(entity, settings_of=source_settings)
    batches = overlapping_batches(store, source=source.name, entity=entity, span=span)
    with warehouse() as conn:
        service = service_in_postgres(conn, source, landing=store, run=context["dag_run"].run_id)
        for batch in batches:
            log.info("replay_%s batch=%s", entity, batch)
            for receipt in replay(service, store, [batch]):
                log.info("%s", receipt)


@task
def erase_customer() -> None:
    """Take a customer's personal data out of landing and the warehouse."""
    from include.ingestion.erasure import erase_customer as erase
    from orchestration.connections import landing, warehouse

    customer_id = get_current_context()["params"]["customer_id"]
    with warehouse() as conn:
        log.info("%s", erase(conn, landing(), customer_id=customer_id, now=datetime.now(UTC)))
