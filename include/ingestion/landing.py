"""Landing: the raw bytes of every answer, kept so that anything can be loaded again without the API.

A batch is what one extraction of one entity over one window brought: `<root>/<source>/<entity>/<window>/<batch>/`
with one compressed file per page and a manifest. The manifest is written last, and a batch exists when its manifest
does: what a killed process leaves is nobody's batch, and is swept with the expired ones. The root is a local folder
or an object store (`s3://bucket/landing`), by the same code.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
from upath import UPath

from include.entities.window import Window
from include.ingestion.errors import LandingDamaged, LandingNotWritable
from include.ingestion.files import (
    make_folder,
    names_in,
    open_file,
    read_file,
    remove_file,
    remove_folder,
    store_at,
    write_file,
    writing_file,
)
from include.sources.source import Page

MANIFEST = "manifest.json"


class LandedPage(msgspec.Struct, frozen=True):
    """One line of a manifest: a page, where it lies and what was asked for.

    :param status: HTTP status of the answer.
    :param received_at: UTC.
    :param rows: without the `repeated_rows` that the page before it ends with.
    :param sha256: of the bytes as they came, before compression.
    :param becoming: the checksum that the file gets; stands only while it is being rewritten, when either holds.
    """

    file: str
    request: str
    received_at: datetime
    rows: int
    sha256: str
    context: Mapping[str, Any] = {}
    status: int = 200
    repeated_rows: int = 0
    becoming: str | None = None

    def fits(self, body: bytes) -> bool:
        """Whether these are the bytes that were written."""
        return sha256(body) in (self.sha256, self.becoming)


class Manifest(msgspec.Struct, frozen=True):
    """What a batch holds. Times are UTC.

    :param erased_at: when somebody's personal data was last taken out of it.
    """

    source: str
    entity: str
    window_start: datetime
    window_end: datetime
    began_at: datetime
    pages: tuple[LandedPage, ...]
    erased_at: datetime | None = None

    @property
    def rows(self) -> int:
        """Rows over all pages."""
        return sum(page.rows for page in self.pages)

    @property
    def window(self) -> Window:
        """The window that was asked for."""
        return Window(self.window_start, self.window_end)


class Landing:
    """A folder or bucket of batches. A batch goes by its name, `<source>/<entity>/<window>/<batch>`.

    :param root: a path, or the address of a folder or bucket.
    """

    def __init__(self, root: UPath | os.PathLike[str] | str) -> None:
        self.root = store_at(root)

    def open_batch(self, *, source: str, entity: str, window: Window, now: datetime) -> BatchWriter:
        """Begin a batch.

        :raises LandingNotWritable: the folder cannot be written. A bucket says so at the first page.
        """
        name = f"{source}/{entity}/{window.folder}/{now:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(3)}"
        make_folder(self.root, mode=0o700)
        make_folder(self.root / name)
        return BatchWriter(self, name, source=source, entity=entity, window=window, began_at=now)

    def batches(self, *, entity: str | None = None, window: Window | None = None) -> Iterator[str]:
        """Names of the complete batches, of one entity or window if given, oldest first.

        :raises LandingUnreachable: the store does not answer.
        """
        found = self.folders(entity=entity, window=window)
        for name in sorted(found, key=lambda name: (name.rsplit("/", 1)[1], name)):
            if MANIFEST in names_in(self.root / name):
                yield name

    def folders(self, *, entity: str | None = None, window: Window | None = None) -> Iterator[str]:
        """Names of all batches, those that are incomplete among them, in no order."""
        for source in self._within(self.root):
            for kind in [entity] if entity else self._within(self.root / source):
                stretches = [window.folder] if window else self._within(self.root / source / kind)
                for stretch in stretches:
                    for batch in self._within(self.root / source / kind / stretch):
                        yield f"{source}/{kind}/{stretch}/{batch}"

    @staticmethod
    def _within(folder: UPath) -> list[str]:
        return [name for name in names_in(folder) if not name.startswith(".")]

    def manifest(self, batch: str) -> Manifest:
        """:raises LandingDamaged: there is no such batch.

        :raises LandingUnreachable: the store does not answer.
        """
        try:
            return msgspec.json.decode(read_file(self.root / batch / MANIFEST), type=Manifest)
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise LandingDamaged(
                f"The batch {batch} has no readable manifest ({error}). Clear the extract task to fetch it again."
            ) from error

    def pages(self, batch: str) -> Iterator[tuple[str, Page]]:
        """File name and page, one after the other, each checked against its checksum.

        :raises LandingDamaged: a file is missing or was changed.
        :raises LandingUnreachable: the store does not answer.
        """
        for landed in self.manifest(batch).pages:
            yield landed.file, self._read(batch, landed)

    def page(self, batch: str, file: str) -> Page:
        """One page of a batch.

        :raises LandingDamaged: there is no such file, or it was changed.
        :raises LandingUnreachable: the store does not answer.
        """
        return self._read(batch, self._line(batch, file))

    def rewrite(self, batch: str, file: str, body: bytes) -> None:
        """Put other bytes in place of a page's. The manifest is the caller's to keep true.

        :raises LandingNotWritable: it is as it was.
        """
        write_file(self.root / batch / file, compressed(body))

    def write_manifest(self, batch: str, manifest: Manifest) -> None:
        """Put a manifest in its place.

        :raises LandingNotWritable: it is as it was.
        """
        write_file(self.root / batch / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))

    def beside(self, batch: str) -> list[str]:
        """The files of a batch that are neither manifest nor pages: what validation wrote."""
        own = {MANIFEST, *(page.file for page in self.manifest(batch).pages)}
        return [name for name in names_in(self.root / batch) if name not in own]

    def _line(self, batch: str, file: str) -> LandedPage:
        for landed in self.manifest(batch).pages:
            if landed.file == file:
                return landed
        raise LandingDamaged(f"The manifest of {batch} names no {file}. Clear the extract task to fetch it again.")

    def _read(self, batch: str, landed: LandedPage) -> Page:
        try:
            body = decompressed(read_file(self.root / batch / landed.file))
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise LandingDamaged(
                f"{batch}/{landed.file} cannot be read ({error}). Clear the extract task to fetch it again."
            ) from error
        if not landed.fits(body) and not self._line(batch, landed.file).fits(body):  # it may just have been rewritten
            raise LandingDamaged(
                f"{batch}/{landed.file} is not what was written. Clear the extract task to fetch it again."
            )
        return Page(
            body=body,
            request=landed.request,
            received_at=landed.received_at,
            context=landed.context,
            status=landed.status,
            repeated_rows=landed.repeated_rows,
        )

    def writing(self, batch: str, name: str) -> AbstractContextManager[BinaryIO]:
        """A file beside the pages of a batch; it appears when the block ends well, else not at all.

        :raises LandingNotWritable: the store is full or not writable; the file did not appear.
        """
        return writing_file(self.root / batch / name)

    def reading(self, batch: str, name: str) -> BinaryIO:
        """A file beside the pages of a batch, to be closed by the caller.

        :raises FileNotFoundError: there is no such file.
        :raises LandingUnreachable: the store does not answer.
        """
        return open_file(self.root / batch / name)

    def remove(self, batch: str, name: str) -> None:
        """Remove a file beside the pages of a batch, if it is there.

        :raises LandingNotWritable: it cannot be removed.
        """
        remove_file(self.root / batch / name)


class BatchWriter:
    """Takes pages; `close` makes the batch appear, `discard` leaves nothing of it."""

    def __init__(
        self, landing: Landing, name: str, *, source: str, entity: str, window: Window, began_at: datetime
    ) -> None:
        self._landing, self._name = landing, name
        self._folder = landing.root / name
        self._about = (source, entity, window.start, window.end, began_at)
        self._pages: dict[int, LandedPage] = {}

    def write(self, page: Page, *, rows: int) -> None:
        """Keep one page, behind those that are kept.

        :raises LandingNotWritable: the store is full or not writable; the batch never appears.
        """
        self.write_at(len(self._pages) + 1, page, rows=rows)

    def write_at(self, number: int, page: Page, *, rows: int) -> None:
        """Keep one page under its number, from 1; several may be written at once, in threads.

        :raises LandingNotWritable: the store is full or not writable; the batch never appears.
        """
        file = f"page-{number:05d}.zst"
        write_file(self._folder / file, compressed(page.body))
        self._pages[number] = LandedPage(
            file=file,
            request=page.request,
            received_at=page.received_at,
            rows=rows,
            sha256=sha256(page.body),
            context=page.context,
            status=page.status,
            repeated_rows=page.repeated_rows,
        )

    def close(self) -> str:
        """Write the manifest, which makes the batch appear, and return its name.

        :raises LandingNotWritable: the store is full or not writable; the batch never appears.
        """
        manifest = Manifest(*self._about, pages=tuple(self._pages[number] for number in sorted(self._pages)))
        self._landing.write_manifest(self._name, manifest)
        return self._name

    def discard(self) -> None:
        """Remove what was written, as far as that can be done; the rest is no batch."""
        with suppress(LandingNotWritable):
            remove_folder(self._folder)


def compressed(body: bytes) -> bytes:
    """A page as it is kept: one Zstandard frame, a third of the time of gzip to write and to read."""
    return pa.Codec("zstd", compression_level=1).compress(body, asbytes=True)


def decompressed(kept: bytes) -> bytes:
    """A page as it came.

    :raises ValueError: these are not the bytes of whole Zstandard frames.
    """
    try:
        with pa.CompressedInputStream(pa.BufferReader(kept), "zstd") as stream:
            return stream.read()
    except OSError as error:
        raise ValueError(str(error)) from error


def sha256(body: bytes) -> str:
    """The checksum of a page as it came."""
    return hashlib.sha256(body).hexdigest()
