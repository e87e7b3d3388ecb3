"""Passwords and secrets of the embedded stack: random, made once, readable by their owner alone."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from include.local.errors import LocalStackError


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Every secret that the parts of the stack share."""

    admin_password: str
    jwt_secret: str
    session_secret: str
    fernet_key: str
    consumer_key: str
    consumer_secret: str
    event_token: str
    stock_key: str


def load_keys(path: Path) -> Keys:
    """The keys of this stack; made at the first call.

    :raises LocalStackError: the file cannot be written, or is damaged.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return _make_keys(path)
    try:
        known = json.loads(text)
        return Keys(**{field.name: known[field.name] for field in fields(Keys)})
    except (ValueError, KeyError, TypeError) as error:
        raise LocalStackError(
            f"{path} is damaged ({error}). Stop the stack (make down), remove the file and run this again: new keys "
            "are made."
        ) from error


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, at once or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def _make_keys(path: Path) -> Keys:
    keys = Keys(
        admin_password=secrets.token_urlsafe(12),
        jwt_secret=secrets.token_urlsafe(48),
        session_secret=secrets.token_urlsafe(32),
        fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        consumer_key=f"ck_{secrets.token_hex(20)}",
        consumer_secret=f"cs_{secrets.token_hex(20)}",
        event_token=secrets.token_urlsafe(24),
        stock_key=secrets.token_hex(8).upper(),
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_secret(path, json.dumps(asdict(keys), indent=1))
    except OSError as error:
        raise LocalStackError(
            f"Cannot write {path}: {error.strerror}. Make the folder writable and see that the disk has room."
        ) from error
    return keys
