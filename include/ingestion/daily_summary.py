"""What a day brought in, what was rejected and why, and what the sources changed: from receipts and quarantine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from include.entities.registry import ENTITIES
from include.entities.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySummary:
    """One entity over some time.

    :param windows: how many windows were validated, each counted as it was validated last; `loaded`: of these, how
        many are in the tables.
    :param reasons: rejected rows by rule; `still_open`: those of these windows that are in quarantine now, by rule.
    :param schema_changes: what their batches showed, as `field change`.
    """

    entity: str
    window: Window
    windows: int = 0
    loaded: int = 0
    received: int = 0
    rejected: int = 0
    inserted: int = 0
    updated: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    still_open: Mapping[str, int] = field(default_factory=dict)
    schema_changes: Sequence[str] = ()

    def lines(self) -> list[str]:
        """One line that can be grepped, and one for each reason and change."""
        about = f"entity={self.entity} window={self.window}"
        share = self.rejected / self.received if self.received else 0.0
        return [
            f"daily_summary {about} windows={self.windows} loaded={self.loaded} received={self.received} "
            f"rejected={self.rejected} rejected_share={share:.4f} inserted={self.inserted} updated={self.updated} "
            f"open={sum(self.still_open.values())} schema_changes={len(self.schema_changes)}",
            *(
                f"daily_summary_reason {about} rule={rule} rejected={self.reasons.get(rule, 0)} "
                f"open={self.still_open.get(rule, 0)}"
                for rule in sorted({*self.reasons, *self.still_open})
            ),
            *(f"daily_summary_schema {about} {change}" for change in self.schema_changes),
        ]


def summarize(conn: Connection, window: Window, *, entities: Collection[str] | None = None) -> list[EntitySummary]:
    """What is known of the windows that lie in `window`, for each entity and its lines.

    :param entities: only of these; all of which there is something to tell, otherwise.
    """
    names = list(ENTITIES) if entities is None else [name for name in ENTITIES if name in entities]
    family = [each.name for name in names for each in (ENTITIES[name], ENTITIES[name].child) if each is not None]
    parameters = {"entities": family, "start": window.start, "end": window.end}
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        validated = cursor.execute(_VALIDATED, parameters).fetchall()
        still_open = cursor.execute(_OPEN, parameters).fetchall()
        batches = {"batches": [each["batch"] for each in validated], "entities": family}
        changes = cursor.execute(_CHANGES, batches).fetchall()
    found = [
        _summary(
            name,
            window,
            [each for each in validated if each["entity"] == name],
            {each["rule_id"]: each["rows"] for each in still_open if each["entity"] == name},
            [f"field={each['field']} change={each['change']} row_share={each['row_share']:.4f}" for each in changes
             if each["entity"] == name],
        )
        for name in family
    ]  # fmt: skip
    return [each for each in found if entities is not None or each.windows or each.still_open]


def _summary(
    entity: str, window: Window, validated: list[dict[str, Any]], still_open: Mapping[str, int], changes: Sequence[str]
) -> EntitySummary:
    reasons: Counter[str] = Counter()
    for each in validated:
        reasons.update(each["reasons"])
    return EntitySummary(
        entity=entity,
        window=window,
        windows=len(validated),
        loaded=sum(each["is_loaded"] for each in validated),
        received=sum(each["received"] for each in validated),
        rejected=sum(each["quarantined"] for each in validated),
        inserted=sum(each["inserted"] for each in validated),
        updated=sum(each["updated"] for each in validated),
        reasons=dict(reasons),
        still_open=still_open,
        schema_changes=changes,
    )


# Of each window the newest validation, and the first load of its batch: later ones found everything there.
# A window inside another one that was validated as well is part of it.
_VALIDATED = """
WITH newest AS (
    SELECT DISTINCT ON (entity, window_start, window_end)
        entity, window_start, window_end, batch, received, quarantined,
        coalesce(details -> 'rejected_by_rule', '{}') AS reasons
    FROM ops.receipts
    WHERE
        step = 'validate' AND entity = ANY(%(entities)s) AND window_start >= %(start)s AND window_end <= %(end)s
    ORDER BY entity, window_start, window_end, receipt_id DESC
)
SELECT
    newest.entity, newest.batch, newest.received, newest.quarantined, newest.reasons,
    load.receipt_id IS NOT NULL AS is_loaded, coalesce(load.inserted, 0) AS inserted,
    coalesce(load.updated, 0) AS updated
FROM newest
LEFT JOIN LATERAL (
    SELECT receipt_id, inserted, updated FROM ops.receipts
    WHERE step = 'upsert' AND entity = newest.entity AND batch = newest.batch
    ORDER BY receipt_id LIMIT 1
) AS load ON TRUE
WHERE NOT EXISTS (
    SELECT FROM newest AS wider
    WHERE
        wider.entity = newest.entity
        AND wider.window_start <= newest.window_start AND wider.window_end >= newest.window_end
        AND (wider.window_start, wider.window_end) <> (newest.window_start, newest.window_end)
)
"""
_OPEN = """
SELECT entity, rule_id, count(*) AS rows
FROM quarantine.rejected_rows
WHERE
    resolved_at IS NULL AND entity = ANY(%(entities)s)
    AND window_start >= %(start)s AND window_end <= %(end)s
GROUP BY entity, rule_id
"""
_CHANGES = """
SELECT entity, field, change, row_share
FROM ops.schema_changes
WHERE entity = ANY(%(entities)s) AND batch = ANY(%(batches)s)
ORDER BY entity, field, change
"""
