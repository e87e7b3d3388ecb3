"""Taking something out of a landed batch, so that it can be read and replayed at every moment.

The manifest first says what each page becomes, then the pages change one by one, then the manifest says what they are.
Killed anywhere and done again it ends the same, because doing it again to a page that has changed changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from include.ingestion.landing import LandedPage, Landing, Manifest, sha256
from include.sources.source import Page

Change = Callable[[Page], bytes]
"""From a page to the body that it is to have; of a changed page, the same."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of a batch: of each file that changes its new checksum."""

    batch: str
    manifest: Manifest
    checksums: dict[str, str]


def plan_rewrite(landing: Landing, batch: str, change: Change) -> Plan:
    """Look at every page; nothing is written.

    :raises LandingDamaged: a file is missing or is not what was written.
    :raises LandingUnreachable: the store does not answer.
    """
    manifest = landing.manifest(batch)
    unfinished = {page.file for page in manifest.pages if page.becoming is not None}
    checksums = {}
    for file, page in landing.pages(batch):
        body = change(page)
        if body != page.body or file in unfinished:
            checksums[file] = sha256(body)
    return Plan(batch, manifest, checksums)


def rewrite(landing: Landing, plan: Plan, change: Change, *, now: datetime) -> None:
    """Do what was planned. What validation wrote beside the pages goes: it was made of what they held.

    :raises LandingDamaged: a file is missing or is not what was written.
    :raises LandingNotWritable: the rest is as it was; do it again.
    """
    batch, manifest = plan.batch, plan.manifest
    _remove_beside(landing, batch)

    def becoming(page: LandedPage) -> LandedPage:
        return msgspec.structs.replace(page, becoming=plan.checksums.get(page.file))

    def become(page: LandedPage) -> LandedPage:
        return msgspec.structs.replace(page, sha256=plan.checksums.get(page.file, page.sha256), becoming=None)

    _write(landing, batch, manifest, tuple(map(becoming, manifest.pages)), erased_at=manifest.erased_at)
    for file in plan.checksums:
        page = landing.page(batch, file)
        body = change(page)
        if body != page.body:
            landing.rewrite(batch, file, body)
    _write(landing, batch, manifest, tuple(map(become, manifest.pages)), erased_at=now)
    _remove_beside(landing, batch)


def _write(
    landing: Landing, batch: str, manifest: Manifest, pages: tuple[LandedPage, ...], *, erased_at: datetime | None
) -> None:
    landing.write_manifest(batch, msgspec.structs.replace(manifest, pages=pages, erased_at=erased_at))


def _remove_beside(landing: Landing, batch: str) -> None:
    for name in landing.beside(batch):
        landing.remove(batch, name)
