"""When so much of a window is rejected that loading the rest would only hide it."""

from __future__ import annotations

from collections.abc import Mapping

from include.entities.entity import Entity
from include.entities.window import Window
from include.ingestion.errors import TooManyRejected

WITH_ITS_PARENT = "parent_rejected"
"""Lines rejected for this are no second fault: their parent counts."""


def refuse_too_many(
    entity: Entity, *, window: Window, received: Mapping[str, int], reasons: Mapping[str, Mapping[str, int]]
) -> None:
    """Raise if more of the rows of an entity, or of its lines, were rejected than its limit allows.

    :param received: rows by entity.
    :param reasons: rejected rows by entity and rule.
    :raises TooManyRejected: names the entity, the share and the rules.
    """
    for each in (entity, entity.child):
        if each is None:
            continue
        own = {rule: count for rule, count in reasons.get(each.name, {}).items() if rule != WITH_ITS_PARENT}
        rejected, limit = sum(own.values()), each.rejection_limit
        if limit.is_exceeded(received=received[each.name], rejected=rejected):
            told = ", ".join(f"{rule} {count}" for rule, count in sorted(own.items(), key=lambda item: -item[1]))
            raise TooManyRejected(
                f"{each.name}: {rejected} of {received[each.name]} rows ({rejected / received[each.name]:.1%}) of the "
                f"window {window} were rejected, and {limit.share:.0%} are too many: {told}. Nothing was loaded; the "
                "rejected rows are in quarantine (python -m include.ingestion quarantine list --rows), all rows in "
                "landing. Have the source mended, or mend how it is read, then clear the validate task; if so many "
                f"are right to be rejected, raise `rejection_limit` of {each.name} in include/entities."
            )
