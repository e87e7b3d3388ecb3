"""Load: a validated batch into the warehouse."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

from include.entities.window import Window
from include.ingestion.landing import Landing
from include.ingestion.validate import read_rows, read_verdict
from include.sources.source import Source
from include.warehouse.receipts import Receipt
from include.warehouse.upsert import Rejected, upsert_rows


def load(
    conn: Connection, source: Source, window: Window, *, batch: str, landing: Landing, now: datetime
) -> list[Receipt]:
    """Merge what validation let through, in one transaction.

    :returns: the receipts of the whole window, already stored: what was landed = what was merged + quarantined.
    :raises NotValidated: the batch has not passed validation.
    """
    entity = source.entity
    rejected = read_verdict(landing, batch).rejected
    child = entity.child
    return upsert_rows(
        conn,
        entity,
        read_rows(landing, batch, entity),
        window=window,
        source=source.name,
        now=now,
        child_rows=read_rows(landing, batch, child) if child else None,
        rejected=Rejected(rows=rejected[entity.name], child_rows=rejected[child.name] if child else 0),
        batch=batch,
    )
