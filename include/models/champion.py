"""Which version of a model is in use: MLflow's alias says it, and the warehouse's index follows with the history."""

from __future__ import annotations

import logging
from datetime import datetime

from psycopg import Connection

from include.models.index import indexed_holder, is_indexed, note_alias, set_status, take_turn
from include.models.registry.model_registry import CHAMPION, REASON, ROLLED_BACK, ModelRegistry, ModelVersion

logger = logging.getLogger(__name__)


def crown(conn: Connection, registry: ModelRegistry, kept: ModelVersion, *, reason: str, now: datetime) -> None:
    """Make a version the champion. Call it in a transaction that has its turn (`take_turn`)."""
    registry.set_alias(kept.name, kept.version, reason=reason)
    follow(conn, registry, kept.name, now=now)


def roll_back(conn: Connection, registry: ModelRegistry, name: str, *, reason: str, now: datetime) -> ModelVersion:
    """Make the former champion the champion again; what was champion is never promoted again by itself.

    :param reason: in words, for the history.
    :returns: the champion from now on.
    :raises ModelMissing: there is no former champion.
    """
    with conn.transaction():
        take_turn(conn, name)
        follow(conn, registry, name, now=now)
        champion = registry.rollback(name, reason=reason)
        follow(conn, registry, name, now=now)
    logger.info("rollback name=%s champion=%s version=%s", name, champion.model_id, champion.version)
    return champion


def follow(conn: Connection, registry: ModelRegistry, name: str, *, now: datetime) -> ModelVersion | None:
    """Bring the index up to what the registry says, however it came to be so, and note each change with its reason.

    Whoever changes the alias does it in MLflow first. Killed between the two, the next decision notes it.

    :returns: the champion.
    """
    champion, alias = registry.holder_of(name), f"{name}_{CHAMPION}"
    former_id = indexed_holder(conn, alias)
    if champion is None or champion.model_id == former_id or not is_indexed(conn, champion.model_id):
        return champion
    former = registry.find(name, former_id) if former_id else None
    rolled_back = former.tags.get(ROLLED_BACK) if former else None
    reason = (
        f"{former_id} was rolled back: {rolled_back}"
        if rolled_back
        else champion.tags.get(REASON) or "the alias was moved in MLflow"
    )
    note_alias(conn, alias, champion.model_id, reason=reason, now=now)
    set_status(conn, champion.model_id, "champion", reason=reason, now=now)
    if former_id and rolled_back:
        set_status(conn, former_id, "rolled_back", reason=f"rolled back: {rolled_back}", now=now)
    elif former_id:
        set_status(conn, former_id, "retired", reason=f"{champion.model_id} took its place", now=now)
    return champion
