"""Where landing is and how long it is kept, from the environment."""

from __future__ import annotations

from collections.abc import Mapping

from include.ingestion.landing import Landing

DEFAULT_DAYS = 30


class BadSetting(ValueError):
    """A setting is missing or cannot be read. Nothing was done."""


def landing_of(environment: Mapping[str, str]) -> Landing:
    """REGULARS_LANDING, a folder or `s3://bucket/prefix`; without it the folder `landing` in REGULARS_STORAGE.

    :raises BadSetting: neither is set, or it is the address of a kind of store that is not installed.
    """
    address = environment.get("REGULARS_LANDING")
    if not address:
        storage = environment.get("REGULARS_STORAGE")
        if not storage:
            raise BadSetting(
                "Neither REGULARS_LANDING nor REGULARS_STORAGE is set. Set REGULARS_LANDING to a folder that every "
                "worker can write to, or to s3://bucket/prefix; or REGULARS_STORAGE to a folder for all files."
            )
        address = f"{storage.rstrip('/')}/landing"
    kind = address.partition("://")[0] if "://" in address else "file"
    if kind not in ("file", "s3", "memory"):
        raise BadSetting(f"REGULARS_LANDING is {address!r}. Write a folder or s3://bucket/prefix.")
    return Landing(address)


def days_of(environment: Mapping[str, str]) -> int:
    """REGULARS_LANDING_DAYS: for how many days a batch is kept.

    :raises BadSetting: it is no whole number from 1 on.
    """
    text = environment.get("REGULARS_LANDING_DAYS") or str(DEFAULT_DAYS)
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise BadSetting(f"REGULARS_LANDING_DAYS is {text!r}. Write a whole number of days, 1 or more.")
    return int(text)
