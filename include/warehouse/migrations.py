"""Numbered, forward-only migrations from `include/sql/schema`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from psycopg import Connection

SCHEMA_FOLDER = Path(__file__).resolve().parents[1] / "sql" / "schema"

_LEDGER = """
CREATE SCHEMA IF NOT EXISTS ops;
CREATE TABLE IF NOT EXISTS ops.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ops.migrations IS 'One row per migration applied to this warehouse.';
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('regulars.migrations'))"


class MigrationChanged(RuntimeError):
    """A migration that was applied has been edited since."""


def migrate(conn: Connection) -> list[str]:
    """Apply every migration that the warehouse lacks, in one transaction.

    Safe to call at any time and from several processes: the second waits, then finds nothing to do.

    :returns: the names of the migrations applied now, in order.
    :raises MigrationChanged: a file applied earlier reads differently now; nothing was applied.
    """
    applied_now: list[str] = []
    with conn.transaction():
        conn.execute(_LOCK)
        conn.execute(_LEDGER)
        known: dict[int, str] = dict(conn.execute("SELECT version, sha256 FROM ops.migrations").fetchall())
        for path in sorted(SCHEMA_FOLDER.glob("[0-9]*.sql")):
            version = int(path.name.split("_", 1)[0])
            text = path.read_text()
            digest = hashlib.sha256(text.encode()).hexdigest()
            if version in known:
                if known[version] != digest:
                    raise MigrationChanged(
                        f"{path.name} was applied to this warehouse and has changed since. "
                        "Put the file back and write the change as a new migration."
                    )
                continue
            conn.execute(text)
            conn.execute(
                "INSERT INTO ops.migrations (version, name, sha256) VALUES (%s, %s, %s)", (version, path.stem, digest)
            )
            applied_now.append(path.stem)
    return applied_now
