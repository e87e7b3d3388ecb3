"""Expiry: landing holds personal data and grows, so batches go after some days."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.ingestion.files import (
    UNFINISHED,
    remove_empty_folder,
    remove_file,
    remove_folder,
    sizes_in,
    written_at,
)
from include.ingestion.landing import MANIFEST, Landing

LEAST_DAYS = 1
"""A run that is under way needs its batch; what is younger than this is never removed."""
_NAME = re.compile(r"(\d{8}T\d{12})Z-[0-9a-f]{6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What an expiry removed.

    :param batches: complete ones.
    :param leftovers: of processes that were killed: batches without manifest, files that were never finished.
    :param bytes: as stored, compressed.
    """

    batches: int
    leftovers: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        """One line that can be grepped."""
        return (
            f"expire_landing batches={self.batches} leftovers={self.leftovers} bytes={self.bytes} "
            f"seconds={self.seconds:.2f}"
        )


def expire(landing: Landing, *, older_than_days: int, now: datetime) -> Expired:
    """Remove the batches that began more than so many days ago, and what killed processes left over a day ago.

    A batch loses its manifest first, so one that is half removed is nobody's batch, and the next expiry removes the
    rest. Folders whose name is none of landing's are not touched.

    :param now: UTC.
    :raises ValueError: `older_than_days` is less than `LEAST_DAYS`.
    :raises LandingNotWritable: something cannot be removed.
    :raises LandingUnreachable: the store does not answer.
    """
    if older_than_days < LEAST_DAYS:
        raise ValueError(f"Landing is kept for {LEAST_DAYS} day at least, not {older_than_days}: runs still need it.")
    started = time.monotonic()
    expired, stale = now - timedelta(days=older_than_days), now - timedelta(days=LEAST_DAYS)
    batches = leftovers = size = 0
    for batch in list(landing.folders()):
        sizes = sizes_in(landing.root / batch)
        is_complete = MANIFEST in sizes
        if _is_before(expired if is_complete else stale, batch):
            _remove(landing, batch)
            size += sum(sizes.values())
            batches, leftovers = batches + is_complete, leftovers + (not is_complete)
            continue
        for name, bytes_of_file in sizes.items():
            file = landing.root / batch / name
            if name.startswith(UNFINISHED) and written_at(file) < stale:
                remove_file(file)
                leftovers, size = leftovers + 1, size + bytes_of_file
    return Expired(batches=batches, leftovers=leftovers, bytes=size, seconds=time.monotonic() - started)


def _is_before(instant: datetime, batch: str) -> bool:
    """Whether a batch began before it, by its name; of a name that is not ours nobody knows."""
    name = _NAME.fullmatch(batch.rsplit("/", 1)[1])
    return name is not None and datetime.strptime(f"{name[1]}+0000", "%Y%m%dT%H%M%S%f%z") < instant


def _remove(landing: Landing, batch: str) -> None:
    landing.remove(batch, MANIFEST)
    remove_folder(landing.root / batch)
    remove_empty_folder((landing.root / batch).parent)
