"""Work on quarantine: the replay after a fix, and the summary at the end of each run."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from airflow.sdk import Param, get_current_context, task

from orchestration.landing import ENTITIES
from orchestration.window import WINDOW_PARAMS, given_instant, run_window

log = logging.getLogger(__name__)

EVERY_ENTITY = "all"
QUARANTINE_PARAMS = {
    "entity": Param(
        EVERY_ENTITY,
        type="string",
        enum=[EVERY_ENTITY, *ENTITIES],
        title="Entity",
        description="Whose rejected rows to try again; of orders and refunds their lines too.",
    ),
    "rule": Param(
        None,
        type=["null", "string"],
        title="Rule",
        description="Only rows that this rule holds back, such as money. Leave empty for all of them.",
    ),
    **{
        name: Param(
            None,
            type=["null", "string"],
            format="date-time",
            title=WINDOW_PARAMS[name].schema["title"],
            description=f"Only rows of windows that {text}, for example 2024-01-01T00:00:00Z. May stay empty.",
        )
        for name, text in (("start", "end after it"), ("end", "begin before it"))
    },
}
"""Shown in the trigger form of the replay."""


@task
def replay_quarantine() -> None:
    """Judge rejected rows again by today's code and rules, and load those that now pass."""
    from include.ingestion.errors import StillRejected
    from include.ingestion.quarantine import Selection
    from include.ingestion.quarantine_in_postgres import PostgresQuarantine
    from include.ingestion.quarantine_replay import QuarantineReplay, family_of
    from include.ingestion.receipts import PostgresReceipts
    from include.sources.factory import source_for
    from include.warehouse.repository import PostgresRepository
    from orchestration.connections import landing, source_settings, warehouse

    context = get_current_context()
    params, left = context["params"], 0
    selection = Selection(
        entities=None if params["entity"] == EVERY_ENTITY else family_of(params["entity"]),
        rule_id=params["rule"] or None,
        start=given_instant(params, "start"),
        end=given_instant(params, "end"),
    )
    with warehouse() as conn:
        replay = QuarantineReplay(
            PostgresRepository(conn),
            PostgresQuarantine(conn),
            PostgresReceipts(conn),
            lambda: datetime.now(UTC),
            landing=landing(),
            source_of=lambda entity: source_for(entity, settings_of=source_settings),
            run=context["dag_run"].run_id,
        )
        for replayed in replay.run(selection):
            log.info("%s", "\n".join(replayed.lines()))
            left += replayed.failing + replayed.lost
    if left:
        raise StillRejected(
            f"{left} row(s) stay in quarantine; the lines above say of which windows, and "
            "`python -m include.ingestion quarantine list --rows 5` why. What passed is loaded. Mend more, then "
            "trigger the replay again."
        )


def summarize(entities: Iterable[str]):
    """The task `summarize_window`, which also runs after tasks that failed and lets no run pass for their sake."""

    @task
    def summarize_window() -> None:
        from include.ingestion.daily_summary import summarize as summaries_of
        from orchestration.connections import warehouse

        window = run_window(get_current_context())
        with warehouse() as conn:
            for summary in summaries_of(conn, window, entities=tuple(entities)):
                for line in summary.lines():
                    log.info("%s", line)

    return summarize_window().as_teardown()
