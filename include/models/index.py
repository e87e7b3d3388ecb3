"""The warehouse's index of models: what of the registry can be asked for in SQL."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

from include.models.registry.errors import ModelMissing


def take_turn(conn: Connection, name: str) -> None:
    """Wait until nobody else decides about this model; the turn ends with the transaction."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('regulars.models.' || %s, 0))", (name,))


def registry_version(conn: Connection, model_id: str) -> str:
    """The version in the registry of a model.

    :raises ModelMissing: there is no such model, or it is from before there was a registry.
    """
    row = conn.execute("SELECT registry_version FROM ml.models WHERE model_id = %s", (model_id,)).fetchone()
    if row is None or row[0] is None:
        raise ModelMissing(
            f"There is no model {model_id!r} in ml.models with a version in the registry. Run train for its training "
            "set."
        )
    return row[0]


def set_status(conn: Connection, model_id: str, status: str, *, reason: str, now: datetime) -> None:
    """Note where a model stands and why; the same again changes nothing."""
    conn.execute(
        """
        UPDATE ml.models SET status = %(status)s, status_reason = %(reason)s, status_at = %(now)s
        WHERE model_id = %(model_id)s AND (status, status_reason) IS DISTINCT FROM (%(status)s, %(reason)s)
        """,
        {"status": status, "reason": reason, "now": now, "model_id": model_id},
    )


def is_indexed(conn: Connection, model_id: str) -> bool:
    """Whether the warehouse knows the model; a registry may hold models of other warehouses."""
    return conn.execute("SELECT 1 FROM ml.models WHERE model_id = %s", (model_id,)).fetchone() is not None


def indexed_holder(conn: Connection, alias: str) -> str | None:
    """The model that an alias stood for when the index last followed the registry."""
    row = conn.execute("SELECT model_id FROM ml.aliases WHERE alias = %s", (alias,)).fetchone()
    return row[0] if row else None


def note_alias(conn: Connection, alias: str, model_id: str, *, reason: str, now: datetime) -> None:
    """Note that an alias was given to a model, and what it stood for before, with the reason."""
    conn.execute(
        """
        WITH former AS (SELECT model_id FROM ml.aliases WHERE alias = %(alias)s),
        given AS (
            INSERT INTO ml.aliases (alias, model_id, set_at) VALUES (%(alias)s, %(model_id)s, %(now)s)
            ON CONFLICT (alias) DO UPDATE SET model_id = excluded.model_id, set_at = excluded.set_at
        )
        INSERT INTO ml.alias_changes (alias, model_id, previous_model_id, reason, set_at)
        VALUES (%(alias)s, %(model_id)s, (SELECT model_id FROM former), %(reason)s, %(now)s)
        """,
        {"alias": alias, "model_id": model_id, "reason": reason, "now": now},
    )


def statuses_of(conn: Connection, name: str) -> dict[str, tuple[str, str]]:
    """Model to where it stands and why."""
    rows = conn.execute("SELECT model_id, status, status_reason FROM ml.models WHERE name = %s", (name,)).fetchall()
    return {model_id: (status, reason) for model_id, status, reason in rows}


def changes_of(conn: Connection, alias: str) -> list[tuple[datetime, str, str | None, str]]:
    """Each time that an alias was given: when, to which model, after which, and why; oldest first."""
    return conn.execute(
        """
        SELECT set_at, model_id, previous_model_id, reason FROM ml.alias_changes
        WHERE alias = %s
        ORDER BY alias_change_id
        """,
        (alias,),
    ).fetchall()
