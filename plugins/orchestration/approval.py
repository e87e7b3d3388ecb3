"""A person's word before a model is put into use, where the Airflow variable `churn_needs_approval` asks for it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator

from orchestration.connections import is_switched_on, warehouse

APPROVE, REJECT = "Approve", "Reject"
HOURS = 20
"""For so long a person is waited for. Less than a day, because the next day's run waits behind this one."""

log = logging.getLogger(__name__)


class ApprovePromotion(HITLOperator):
    """Waits for a person if one is wanted and the model passes the gate; else it is done at once.

    The request stands under Required Actions in the UI. Its result is for `promote`: `rejection` or `approval` in
    words, or nothing when nobody was asked. Nobody's word within `HOURS` is a no.
    """

    template_fields = (*HITLOperator.template_fields, "model_id")

    def __init__(self, *, model_id: Any, **arguments: Any) -> None:
        super().__init__(
            subject="Shall this churn model become the champion?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            response_timeout=timedelta(hours=HOURS),
            **arguments,
        )
        self.model_id = model_id

    def execute(self, context: Any) -> dict[str, str]:
        if not is_switched_on("churn_needs_approval"):
            return {}
        found = self._preview(context)
        if not found.is_promoted:
            log.info("approve_champion asks nobody: %s: %s", found.model_id, found.reason)
            return {}
        self.body = f"**{found.model_id}**\n\n- " + found.reason.replace("; ", "\n- ")
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, str]:
        answer = super().execute_complete(context, event)
        user = (answer["responded_by_user"] or {}).get("name")
        if answer["chosen_options"] == [APPROVE]:
            return {"approval": f"approved by {user}"}
        return {"rejection": f"rejected by {user}" if user else f"nobody approved it within {HOURS} hours"}

    def _preview(self, context: Any) -> Any:
        from include.models.churn.promote import preview
        from orchestration.churn import gate_of, registry

        with warehouse() as conn:
            return preview(conn, registry(), model_id=self.model_id, **gate_of(context))
