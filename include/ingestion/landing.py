"""Landing: the raw bytes of every answer, kept so that anything can be loaded again without the API.

A batch is what one extraction of one entity over one window brought. Its folder appears whole or not at
all: it is written under another name and renamed once its manifest is complete.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from include.entities.window import Window
from include.ingestion.errors import LandingDamaged, LandingNotWritable
from include.sources.source import Page


class LandedPage(msgspec.Struct, frozen=True):
    """One line of a manifest: a page, where it lies and what was asked for."""

    file: str
    request: str
    received_at: datetime
    rows: int
    sha256: str
    context: Mapping[str, Any] = {}


class Manifest(msgspec.Struct, frozen=True):
    """What a batch holds. Times are UTC."""

    source: str
    entity: str
    window_start: datetime
    window_end: datetime
    began_at: datetime
    pages: tuple[LandedPage, ...]

    @property
    def rows(self) -> int:
        """Rows over all pages."""
        return sum(page.rows for page in self.pages)


@dataclass(frozen=True, slots=True)
class Landing:
    """A folder of batches, `<root>/<source>/<entity>/<window>/<batch>/`."""

    root: Path

    def open_batch(self, *, source: str, entity: str, window: Window, now: datetime) -> BatchWriter:
        """Begin a batch.

        :raises LandingNotWritable: the folder cannot be written.
        """
        parent = self.root / source / entity / window.folder
        name = f"{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"
        partial = parent / f".partial-{name}"
        with writable(partial):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.mkdir(parents=True)
        return BatchWriter(self, partial, parent / name, source=source, entity=entity, window=window, began_at=now)

    def folder(self, batch: str) -> Path:
        """The folder of a batch, by its name relative to the root."""
        return self.root / batch

    def manifest(self, batch: str) -> Manifest:
        """:raises LandingDamaged: there is no such batch."""
        path = self.folder(batch) / "manifest.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (OSError, ValueError) as error:
            raise LandingDamaged(
                f"The batch {batch} has no readable manifest ({error}). Clear the extract task to fetch it again."
            ) from error

    def pages(self, batch: str) -> Iterator[tuple[str, Page]]:
        """File name and page, one after the other, each checked against its checksum.

        :raises LandingDamaged: a file is missing or was changed.
        """
        for landed in self.manifest(batch).pages:
            try:
                body = gzip.decompress((self.folder(batch) / landed.file).read_bytes())
            except (OSError, EOFError, zlib.error) as error:
                raise LandingDamaged(
                    f"{batch}/{landed.file} cannot be read ({error}). Clear the extract task to fetch it again."
                ) from error
            if hashlib.sha256(body).hexdigest() != landed.sha256:
                raise LandingDamaged(
                    f"{batch}/{landed.file} is not what was written. Clear the extract task to fetch it again."
                )
            yield (
                landed.file,
                Page(body=body, request=landed.request, received_at=landed.received_at, context=landed.context),
            )


class BatchWriter:
    """Takes pages; `close` makes the batch appear, `discard` leaves nothing of it."""

    def __init__(
        self,
        landing: Landing,
        partial: Path,
        final: Path,
        *,
        source: str,
        entity: str,
        window: Window,
        began_at: datetime,
    ) -> None:
        self._landing = landing
        self._partial = partial
        self._final = final
        self._about = (source, entity, window.start, window.end, began_at)
        self._pages: list[LandedPage] = []

    def write(self, page: Page, *, rows: int) -> None:
        """Keep one page.

        :raises LandingNotWritable: the disk is full or not writable; the batch never appears.
        """
        file = f"page-{len(self._pages) + 1:05d}.gz"
        with writable(self._partial / file):
            (self._partial / file).write_bytes(gzip.compress(page.body, compresslevel=1, mtime=0))
        self._pages.append(
            LandedPage(
                file=file,
                request=page.request,
                received_at=page.received_at,
                rows=rows,
                sha256=hashlib.sha256(page.body).hexdigest(),
                context=page.context,
            )
        )

    def close(self) -> str:
        """Write the manifest, let the batch appear and return its name, relative to the landing's root.

        :raises LandingNotWritable: the disk is full or not writable; the batch never appears.
        """
        manifest = Manifest(*self._about, pages=tuple(self._pages))
        with writable(self._final):
            (self._partial / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
            self._partial.rename(self._final)
        return self._final.relative_to(self._landing.root).as_posix()

    def discard(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self._partial, ignore_errors=True)


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """Around writing `path`, a file or folder of landing.

    :raises LandingNotWritable: the disk is full or read-only.
    """
    try:
        yield
    except OSError as error:
        raise LandingNotWritable(
            f"{path} cannot be written ({error.strerror or error}). Nothing was loaded. "
            "Make room, or point REGULARS_STORAGE at a folder that can be written to, then clear this task."
        ) from error
