"""Models in the warehouse: artefacts, and the names of those in use."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import Connection

from include.models.registry.artefact import unpack
from include.models.registry.errors import ModelMissing


def load_artefact(conn: Connection, model_id: str) -> Any:
    """What was stored with a model.

    Artefacts are pickles, and opening one runs what is in it. So they come from our own warehouse only, and not
    before their bytes match the digest in the model's row. Who may write to `ml.models` may run code in the tasks.

    :raises ModelMissing: no model of that id.
    :raises ArtefactDamaged: bytes and digest differ.
    """
    row = conn.execute("SELECT artefact, artefact_digest FROM ml.models WHERE model_id = %s", (model_id,)).fetchone()
    if row is None:
        raise ModelMissing(f"There is no model {model_id!r} in ml.models. Run train for its training set.")
    return unpack(bytes(row[0]), digest=row[1], name=model_id)


def holder_of(conn: Connection, alias: str) -> str | None:
    """The model that an alias stands for."""
    row = conn.execute("SELECT model_id FROM ml.aliases WHERE alias = %s", (alias,)).fetchone()
    return row[0] if row else None


def set_alias(conn: Connection, alias: str, model_id: str, *, reason: str, now: datetime) -> None:
    """Give an alias to a model and keep what it stood for before, with the reason."""
    previous = holder_of(conn, alias)
    conn.execute(
        """
        INSERT INTO ml.aliases (alias, model_id, set_at) VALUES (%s, %s, %s)
        ON CONFLICT (alias) DO UPDATE SET model_id = excluded.model_id, set_at = excluded.set_at
        """,
        (alias, model_id, now),
    )
    conn.execute(
        "INSERT INTO ml.alias_changes (alias, model_id, previous_model_id, reason, set_at) VALUES (%s, %s, %s, %s, %s)",
        (alias, model_id, previous, reason, now),
    )


def set_status(conn: Connection, model_id: str, status: str, *, reason: str, now: datetime) -> None:
    """Note where a model stands and why; the same again changes nothing."""
    conn.execute(
        """
        UPDATE ml.models SET status = %(status)s, status_reason = %(reason)s, status_at = %(now)s
        WHERE model_id = %(model_id)s AND (status, status_reason) IS DISTINCT FROM (%(status)s, %(reason)s)
        """,
        {"status": status, "reason": reason, "now": now, "model_id": model_id},
    )
