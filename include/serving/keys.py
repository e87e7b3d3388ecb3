"""Keys of the API's callers: made, listed and revoked in the warehouse.

A key reads `regulars_<key id>_<secret>`. The secret has 256 random bits and is kept as its SHA-256 alone. A slow hash,
as passwords need, would add nothing: it makes guessing dear where there are few likely words, and here every one of
2^256 secrets is as likely as the next. It would cost each request milliseconds instead.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.errors import UniqueViolation

SCOPES = {
    "churn:read": "churn probabilities",
    "value:read": "lifetime values",
    "recommendations:read": "recommendations and products bought together",
    "features:read": "features of customers",
}
"""What a key may read, by the name of the scope."""
REQUESTS_PER_SECOND = 100.0
BURST = 200
_KEY = re.compile(r"regulars_([0-9a-f]{12})_([0-9a-f]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class BadKeyRequest(ValueError):
    """A key cannot be made or revoked as asked; the text says why. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key, without its secret.

    :param name: who calls with it; stands in logs.
    :param requests_per_second: in the long run, of each process that serves; `burst` at once after a pause.
    """

    key_id: str
    name: str
    secret_digest: bytes
    scopes: frozenset[str]
    requests_per_second: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """One line of `keys list`; times in UTC."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    requests_per_second: float
    burst: int
    created_at: datetime
    revoked_at: datetime | None


def create_key(
    conn: Connection,
    *,
    name: str,
    scopes: list[str],
    now: datetime,
    requests_per_second: float = REQUESTS_PER_SECOND,
    burst: int = BURST,
) -> str:
    """Make a key and give it, for the only time: it cannot be had from the warehouse again.

    :raises BadKeyRequest: the name is no plain word or is in use, a scope is unknown, or a limit is not positive.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise BadKeyRequest(f"Unknown scopes: {', '.join(unknown) or 'none given'}. There are: {', '.join(SCOPES)}.")
    if not _NAME.fullmatch(name):
        raise BadKeyRequest(
            f"The name {name!r} cannot be used: give up to 63 letters, digits, dots, _ and -, a letter or digit first."
        )
    if not (0 < requests_per_second < float("inf") and 0 < burst < 2**31):
        raise BadKeyRequest("The requests per second and the burst must be greater than 0.")
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    try:
        with conn.transaction():
            conn.execute(
                """
                INSERT INTO serving.api_keys (
                    key_id, name, secret_digest, scopes, requests_per_second, burst, created_at
                )
                VALUES (%s, %s, %s, %s, %s, %s, %s)
                """,
                (key_id, name, digest_of(secret), sorted(set(scopes)), requests_per_second, burst, now),
            )
    except UniqueViolation:
        raise BadKeyRequest(f"A key named {name!r} is in use. Revoke it first, or give another name.") from None
    return f"regulars_{key_id}_{secret}"


def list_keys(conn: Connection) -> list[ListedKey]:
    """Every key ever made, the oldest first."""
    rows = conn.execute(
        """
        SELECT key_id, name, scopes, requests_per_second, burst, created_at, revoked_at
        FROM serving.api_keys
        ORDER BY created_at, key_id
        """
    ).fetchall()
    return [
        ListedKey(
            key_id=key_id, name=name, scopes=tuple(scopes), requests_per_second=rate, burst=burst,
            created_at=created_at, revoked_at=revoked_at,
        )
        for key_id, name, scopes, rate, burst, created_at, revoked_at in rows
    ]  # fmt: skip


def revoke_key(conn: Connection, name: str, *, now: datetime) -> str:
    """Let the key of that name, or of that key id, no longer count; gives its key id.

    :raises BadKeyRequest: there is none in use.
    """
    with conn.transaction():
        row = conn.execute(
            """
            UPDATE serving.api_keys SET revoked_at = %(now)s
            WHERE revoked_at IS NULL AND (name = %(name)s OR key_id = %(name)s)
            RETURNING key_id
            """,
            {"name": name, "now": now},
        ).fetchone()
    if row is None:
        raise BadKeyRequest(f"There is no key {name!r} in use. See: python -m include.serving keys list")
    return row[0]


def parts_of(presented: str) -> tuple[str, str] | None:
    """Key id and secret of what a caller presents, or None if it is no key at all."""
    match = _KEY.fullmatch(presented)
    return (match[1], match[2]) if match else None


def digest_of(secret: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()
