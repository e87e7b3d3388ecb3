"""Files that appear whole or not at all, in a local folder or in an object store, by the same calls.

A folder shows a file while it is being written, so there it is written under another name and renamed. S3 shows an
object once all of it has arrived, so there a second name would only cost three more requests.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import BinaryIO, cast

from upath import UPath

from include.ingestion.errors import LandingNotWritable, LandingUnreachable

UNFINISHED = ".partial-"
"""What the name of a file begins with that is still being written."""
_BLOCK_BYTES = 8 * 2**20
_WHOLE_AT_ONCE = ("s3", "s3a")


def store_at(address: UPath | os.PathLike[str] | str) -> UPath:
    """A folder or a URL such as `s3://bucket/landing`, as a path that remembers no listing."""
    path = UPath(address)
    return UPath(path, use_listings_cache=False) if path.protocol in _WHOLE_AT_ONCE else path


def write_file(path: UPath, content: bytes) -> None:
    """:raises LandingNotWritable: the file did not appear."""
    with writable(path):
        if path.protocol in _WHOLE_AT_ONCE:
            path.fs.pipe_file(path.path, content)
        else:
            with writing_file(path) as file:
                file.write(content)


@contextmanager
def writing_file(path: UPath) -> Iterator[BinaryIO]:
    """A file to write to; it appears when the block ends well, in place of one of that name.

    :raises LandingNotWritable: it did not appear.
    """
    is_whole_at_once = path.protocol in _WHOLE_AT_ONCE
    target = path if is_whole_at_once else path.with_name(f"{UNFINISHED}{secrets.token_hex(4)}-{path.name}")
    with writable(path):
        file = path.fs.open(target.path, "wb", block_size=_BLOCK_BYTES, autocommit=not is_whole_at_once)
        try:
            yield cast(BinaryIO, file)
            file.close()
            if is_whole_at_once:
                file.commit()
            else:
                path.fs.mv(target.path, path.path)
        except BaseException:
            with contextlib.suppress(*_failures()):
                _give_up(file, target, is_whole_at_once=is_whole_at_once)
            raise


def _give_up(file: BinaryIO, target: UPath, *, is_whole_at_once: bool) -> None:
    if is_whole_at_once:
        file.discard()  # type: ignore[attr-defined]  # of fsspec's files
        file.closed = True  # type: ignore[misc]  # or it would be sent when it is collected
        return
    with contextlib.suppress(OSError):
        file.close()
    target.fs.rm_file(target.path)


def read_file(path: UPath) -> bytes:
    """:raises FileNotFoundError: there is no such file.

    :raises LandingUnreachable: the store does not answer.
    """
    with readable(path):
        return path.fs.cat_file(path.path)


def open_file(path: UPath) -> BinaryIO:
    """The file, to read from and to close.

    :raises FileNotFoundError: there is no such file.
    :raises LandingUnreachable: the store does not answer.
    """
    with readable(path):
        return cast(BinaryIO, path.fs.open(path.path, "rb", block_size=_BLOCK_BYTES))


def names_in(folder: UPath) -> list[str]:
    """Names of files and folders in a folder, sorted; none where there is no such folder.

    :raises LandingUnreachable: the store does not answer.
    """
    with readable(folder):
        try:
            found = folder.fs.ls(folder.path, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
    own = folder.path.rstrip("/")
    paths = [path.rstrip("/") for path in found]
    return sorted(path.rsplit("/", 1)[-1] for path in paths if path != own)


def sizes_in(folder: UPath) -> dict[str, int]:
    """Names and stored bytes of the files in a folder; nothing where there is no such folder.

    :raises LandingUnreachable: the store does not answer.
    """
    with readable(folder):
        try:
            found = folder.fs.ls(folder.path, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
    return {each["name"].rsplit("/", 1)[-1]: each["size"] or 0 for each in found if each["type"] == "file"}


def written_at(path: UPath) -> datetime:
    """When a file was last written, UTC.

    :raises FileNotFoundError: there is no such file.
    :raises LandingUnreachable: the store does not answer.
    """
    with readable(path):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def remove_file(path: UPath) -> None:
    """Remove a file that may be gone already.

    :raises LandingNotWritable: it is there and cannot be removed.
    """
    with writable(path), contextlib.suppress(FileNotFoundError):
        path.fs.rm_file(path.path)


def make_folder(path: UPath, *, mode: int = 0o777) -> None:
    """Make a folder and those above it; an object store needs none.

    :raises LandingNotWritable: it cannot be made.
    """
    if path.protocol not in _WHOLE_AT_ONCE:
        with writable(path):
            try:
                path.mkdir(parents=True, exist_ok=True, mode=mode)
            except FileNotFoundError:  # the folder above it was removed just now, because it was empty
                path.mkdir(parents=True, exist_ok=True, mode=mode)


def remove_folder(path: UPath) -> None:
    """Remove a folder with all that is in it; it may be gone already.

    :raises LandingNotWritable: something in it cannot be removed.
    """
    with writable(path), contextlib.suppress(FileNotFoundError):
        path.fs.rm(path.path, recursive=True)


def remove_empty_folder(path: UPath) -> None:
    """Remove a folder if nothing is in it; an object store has none."""
    if path.protocol not in _WHOLE_AT_ONCE:
        with contextlib.suppress(OSError):
            path.fs.rmdir(path.path)


@contextmanager
def writable(path: UPath) -> Iterator[None]:
    """Around changing `path` in a store.

    :raises LandingNotWritable: the store is full, read-only, not there, or does not let us in.
    """
    try:
        yield
    except LandingNotWritable:
        raise
    except _failures() as error:
        raise LandingNotWritable(
            f"{path} cannot be written ({_reason(error)}). Nothing was loaded. Make room or give access, or point "
            "REGULARS_LANDING at a folder or bucket that can be written to; then clear this task."
        ) from error


@contextmanager
def readable(path: UPath) -> Iterator[None]:
    """Around reading `path` from a store.

    :raises FileNotFoundError: there is no such file.
    :raises LandingUnreachable: any other reason.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except _failures() as error:
        raise LandingUnreachable(
            f"{path} cannot be read now ({_reason(error)}). Nothing was loaded. See that the folder or bucket of "
            "REGULARS_LANDING answers and lets us in, then clear this task."
        ) from error


def _failures() -> tuple[type[Exception], ...]:
    """What a store raises. botocore's errors are no OSError; where no S3 is used, it is not even imported."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError, botocore.ClientError) if botocore else (OSError,)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
