"""Where files lie: a folder of this machine or of an object store, by the same code, and what can go wrong there.

Compression is told by a file's first bytes (gzip, xz, zstandard), its kind by what its name ends with.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa
from upath import UPath

from include.sources.errors import ContractBroken, CredentialsRejected, SourceUnreachable
from include.sources.settings import SourceSettings

FORMATS: dict[str, Literal["csv", "parquet"]] = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".csv.xz": "csv",
    ".csv.zst": "csv",
    ".parquet": "parquet",
}
_DAMAGED = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, pa.ArrowException)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file as it was when its folder was listed.

    :param name: relative to the connection's folder, such as `orders/2024.csv.gz`.
    :param modified_at: when it was last written, UTC.
    :param size: bytes as stored.
    """

    path: UPath
    name: str
    format: Literal["csv", "parquet"]
    modified_at: datetime
    size: int


class Storage:
    """The folder that a connection names. Login and password are the key of an object store."""

    def __init__(self, settings: SourceSettings) -> None:
        self.connection = settings.name
        options: dict[str, Any] = dict(settings.extra.get("storage_options", {}))
        if settings.login and settings.base_url.startswith("s3"):
            options |= {"key": settings.login, "secret": settings.password}
        self._is_placed = "://" in settings.base_url or settings.base_url.startswith("/")
        self._root = UPath(settings.base_url, **options)

    def files(self, folder: str = "") -> list[StoredFile]:
        """The files below a folder, by name; what begins with a dot or an underscore is not looked at.

        :param folder: relative to the connection's; the empty one may also be a single file.
        :raises ContractBroken: there is no such folder, or a file in it is neither CSV nor Parquet.
        :raises SourceError: the store cannot be read.
        """
        if not self._is_placed:
            raise ContractBroken(
                f"The connection `{self.connection}` names no folder: {str(self._root)!r} is neither an absolute path "
                "nor a URL. Nothing was loaded. Write the folder into its extra, as `path`."
            )
        root = self._root / folder if folder else self._root
        with self._reading(folder or str(root)):
            if root.is_file() and not folder:
                return [self._stored(root, root.name)]
            if not root.is_dir():
                raise ContractBroken(
                    f"The connection `{self.connection}` has no folder {folder or str(root)!r}. Nothing was loaded. "
                    "Put the files there (a file with only its header line, if there are no rows), or correct the "
                    "folder of the connection."
                )
            found = []
            for path in root.rglob("*"):
                below = path.parts[len(root.parts) :]
                if below and not any(part.startswith((".", "_")) for part in below) and path.is_file():
                    found.append(self._stored(path, "/".join([*filter(None, [folder]), *below])))
        return sorted(found, key=lambda file: file.name)

    @contextmanager
    def open(self, file: StoredFile) -> Iterator[BinaryIO]:
        """The file's bytes, decompressed as they are read.

        :raises SourceUnreachable: the file is being written: it is not what it was when the folder was listed.
        :raises SourceError: it cannot be read, or is damaged.
        """
        with self._reading(file.name):
            with file.path.open("rb") as raw:
                yield _decompressed(cast(BinaryIO, raw))
            now = self._stored(file.path, file.name)
        if (now.size, now.modified_at) != (file.size, file.modified_at):
            raise SourceUnreachable(
                f"{file.name} of the connection `{self.connection}` was written while it was read. Nothing was loaded. "
                "Clear this task when the file is complete; write under another name and rename to avoid this."
            )

    def _stored(self, path: UPath, name: str) -> StoredFile:
        ending = next((each for each in FORMATS if path.name.lower().endswith(each)), None)
        if ending is None:
            raise ContractBroken(
                f"{name} of the connection `{self.connection}` is none of {', '.join(FORMATS)}. Nothing was loaded, "
                "because no file is left out silently. Convert it, or move it away; a name that begins with _ is not "
                "looked at."
            )
        about = path.stat()
        modified_at = datetime.fromtimestamp(about.st_mtime, UTC)
        return StoredFile(path=path, name=name, format=FORMATS[ending], modified_at=modified_at, size=about.st_size)

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Around touching the store: its errors told as a source's."""
        place = f"{what} of the connection `{self.connection}`"
        try:
            yield
        except PermissionError as error:
            raise CredentialsRejected(
                f"{place} may not be read ({error.strerror or type(error).__name__}). Nothing was loaded. Correct the "
                "permissions, or login and password of the connection."
            ) from error
        except FileNotFoundError as error:
            raise ContractBroken(
                f"{place} is not there. Nothing was loaded. Correct the connection's folder, or put the file back and "
                "clear this task."
            ) from error
        except _DAMAGED as error:
            raise ContractBroken(
                f"{place} is damaged or incomplete ({error}). Nothing was loaded. Write it again, then clear this task."
            ) from error
        except OSError as error:
            raise _told(place, error) from error
        except Exception as error:  # botocore's have no class in common that could be named without importing it
            if not type(error).__module__.startswith("botocore"):
                raise
            kind = CredentialsRejected if "Credentials" in type(error).__name__ else SourceUnreachable
            raise kind(
                f"{place} cannot be reached ({type(error).__name__}). Nothing was loaded. Check the connection, then "
                "clear this task."
            ) from error


def _told(place: str, error: OSError) -> ContractBroken | SourceUnreachable:
    # pyarrow tells of a damaged archive by an OSError without a number.
    if error.errno is None:
        return ContractBroken(
            f"{place} is damaged or incomplete ({error}). Nothing was loaded. Write it again, then clear this task."
        )
    return SourceUnreachable(
        f"{place} cannot be read ({error.strerror}). Nothing was loaded. Check the connection, then clear this task."
    )


def _decompressed(raw: BinaryIO) -> BinaryIO:
    buffered = raw if hasattr(raw, "peek") else io.BufferedReader(cast(Any, raw))
    start = buffered.peek(6)[:6]
    stream = cast(BinaryIO, buffered)
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(stream))
    if start.startswith(b"\xfd7zXZ\x00"):
        return cast(BinaryIO, lzma.open(stream))
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        unpacked = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
        return cast(BinaryIO, io.BufferedReader(cast(Any, unpacked)))
    return stream
